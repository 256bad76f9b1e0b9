#include "limiter/app/running_daemon.h"

#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/config/config_check.h"
#include "limiter/hook/exim_session.h"
#include "limiter/hook/postfix_session.h"
#include "limiter/localrpc/admin_session.h"
#include "limiter/port/log.h"
#include "policy/refusal_text.h"

namespace deferd {

namespace {

// Users for whom connections are reserved: root, this daemon's own user, and the users that mail
// servers run as, if they exist.
std::vector<int64_t> UidsOf(std::initializer_list<const char*> names) {
  std::vector<int64_t> uids = {0, static_cast<int64_t>(geteuid())};
  for (const char* name : names) {
    std::vector<char> buffer(16 << 10);
    passwd entry;
    passwd* found = nullptr;
    if (getpwnam_r(name, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
      uids.push_back(found->pw_uid);
    }
  }
  return uids;
}

// Questions arrive complete, so a connection that is silent for a moment has no question pending.
SocketServer::Options HookOptions(absl::Duration idle) {
  return {.idle = idle,
          .max_connections = 4096,
          .trusted = UidsOf({"Debian-exim", "exim", "mailnull", "postfix"}),
          .reserved = 1024,
          .max_per_peer = 1024,
          .evict_after = absl::Milliseconds(100)};
}

// The installed configuration names ::1, and some machines are without IPv6.
bool HasIpv6Loopback() {
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return bound;
}

}  // namespace

absl::StatusOr<Listener> RunningDaemon::Listen(const std::string& name, const std::string& address,
                                               const ListenOptions& options) {
  absl::StatusOr<Listener> listener = Listener::Open(address, options);
  if (!listener.ok()) return listener;
  const auto of_name = [&](const auto& one) {
    return one.first == name || absl::StartsWith(one.first, absl::StrCat(name, "_"));
  };
  const auto before = std::count_if(listening_.begin(), listening_.end(), of_name);
  listening_.emplace_back(before == 0 ? name : absl::StrCat(name, "_", before + 1),
                          listener->address());
  return listener;
}

// First everything is made that the doors' threads use, which is what `status` shows of the other
// doors too; then the threads start.
absl::Status RunningDaemon::OpenDoors() {
  for (auto open : {&RunningDaemon::OpenApi, &RunningDaemon::OpenAdmin, &RunningDaemon::OpenHook,
                    &RunningDaemon::OpenHttp}) {
    absl::Status opened = (this->*open)();
    if (!opened.ok()) return opened;
  }
  for (const auto& [name, address] : listening_) spdlog::info("{}: listening on {}", name, address);
  for (Door* door : {&hook_, &admin_}) {
    if (door->server == nullptr) continue;
    door->thread = std::thread([server = door->server.get()] { server->Run(); });
  }
  for (HttpDoor* door : {&http_, &web_}) {
    if (door->listeners.empty()) continue;
    absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Start(std::move(door->listeners), door->handlers);
    if (!server.ok()) return server.status();
    door->server = *std::move(server);
  }
  return absl::OkStatus();
}

// Of a notice that is being sent now: nobody else has this connection.
bool RunningDaemon::IsOwnMail(const Question& question) const {
  const Identity& who = question.identity;
  return question.port != 0 && who.sender.empty() && who.login.empty() && who.user.empty() &&
         own_mail_.HasConnection(who.host, question.port);
}

absl::Status RunningDaemon::OpenHook() {
  if (config_.hook_exim.empty() && config_.hook_postfix.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  if (!server.ok()) return server.status();
  // `door`: Postfix's; empty: Exim's.
  auto answer = [this](const Question& question, const std::string& door) {
    if (IsOwnMail(question)) return Answer{.source = question.source};
    GateAnswer found = question.subject.has_value()
                           ? gate_.Check(*question.subject, question.source)
                           : gate_.Check(question.identity, question.source, question.id);
    const bool deferred = found.verdict == Verdict::kHold && !door.empty() && PostfixDefers(door);
    if (deferred) {
      Refusal refusal = found.cause->ToRefusal();
      refusal.deferred = true;
      found.text = RefusalText(*gate_.settings().policy, refusal, found.verdict);
    }
    // Until the queue is read, the answer counts as one held message.
    if (queue_ != nullptr && found.verdict == Verdict::kHold && !deferred &&
        question.source != Source::kQueued) {
      held_.CountOne(found.cause->subject, clock_.Now());
    }
    if (found.verdict == Verdict::kPass && !found.unchecked) NoteAccepted(question);
    const bool trial = question.identity.sender == kTrialSender;
    if (!trial && found.shadow != Verdict::kPass) {
      metrics_.OnShadowVerdict(found.shadow, found.shadow_rule);
    }
    if (!trial && found.cause.has_value()) {
      metrics_.OnRuleVerdict(found.cause->manual ? "" : found.cause->rule);
    }
    return Answer{.verdict = found.verdict,
                  .unchecked = found.unchecked,
                  .deferred = deferred,
                  .trial = trial,
                  .source = question.source,
                  .text = std::move(found.text)};
  };
  const auto answered_to = [this](Mta mta) {
    return [this, mta](const Answer& given, absl::Duration took) {
      if (given.trial) return;
      metrics_.OnAnswer(given.verdict, given.unchecked, took);
      totals_.OnQuestion(mta, given.source, clock_.Now());
    };
  };
  auto malformed = [this] { metrics_.OnMalformedQuestion(); };
  const auto listen = [&](HookDoor door, const std::vector<std::string>& addresses,
                          const SocketServer::Options& options,
                          const auto& new_session) -> absl::Status {
    const std::string name = door == HookDoor::kExim ? "exim" : "postfix";
    for (const std::string& address : addresses) {
      if (HasNoFolder(address) && OnlyTheOtherIsHere(door)) {
        spdlog::info("{}: not opening {}, because this mail server is not installed", name,
                     address);
        continue;
      }
      ListenOptions file = config_.hook_options;
      if (file.group.empty()) file.group = GroupOfDoor(door);
      absl::StatusOr<Listener> listener = Listen(name, address, file);
      if (!listener.ok()) return listener.status();
      const std::string place(absl::StripPrefix(address, "unix:"));
      absl::Status added = (*server)->Listen(*std::move(listener), options, new_session(place));
      if (!added.ok()) return added;
      if (door == HookDoor::kPostfix) postfix_doors_.push_back(place);
    }
    return absl::OkStatus();
  };
  absl::Status opened = listen(
      HookDoor::kExim, config_.hook_exim, HookOptions(absl::Seconds(5)), [=](const std::string&) {
        return [=, answered = answered_to(Mta::kExim)](const Peer&) {
          return std::make_unique<EximSession>(
              [=](const Question& question) { return answer(question, ""); }, answered, malformed);
        };
      });
  if (!opened.ok()) return opened;
  // Postfix keeps an idle connection for up to five minutes, and takes one that was closed for an
  // unreachable server.
  opened = listen(HookDoor::kPostfix, config_.hook_postfix, HookOptions(absl::Minutes(10)),
                  [=](const std::string& place) {
                    return [=, answered = answered_to(Mta::kPostfix)](const Peer&) {
                      return std::make_unique<PostfixSession>(
                          [=](const Question& question) { return answer(question, place); },
                          answered, malformed);
                    };
                  });
  if (!opened.ok()) return opened;
  hook_.server = *std::move(server);
  return absl::OkStatus();
}

// Counted at once where a rule limits what is sent: many messages may be accepted before the log
// tells of the first. While the log is behind, which `unchecked` says, it alone counts, so that
// time does not run ahead of it. What finds the queue full is counted by its arrival.
void RunningDaemon::NoteAccepted(const Question& question) {
  if (question.id.empty() || question.source == Source::kQueued || !judges_sent_.load()) return;
  auto batch = std::make_unique<EventBatch>();
  LogEvent* const event = batch->Add();
  event->kind = LogEvent::Kind::kAccepted;
  event->attempt.time = clock_.Now();
  event->attempt.message.id = question.id;
  event->attempt.identity = question.identity;
  recorder_->TrySubmit(std::move(batch));
}

absl::Status RunningDaemon::OpenAdmin() {
  absl::StatusOr<Listener> listener =
      Listen("admin", absl::StrCat("unix:", config_.admin_socket), config_.admin_options);
  if (!listener.ok()) return listener.status();
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  if (!server.ok()) return server.status();
  // One answer may be far larger (a list of a million subjects), but then no further request is
  // read.
  const SocketServer::Options options = {.idle = absl::Seconds(30),
                                         .max_connections = 64,
                                         .trusted = UidsOf({}),
                                         .reserved = 24,
                                         .max_per_peer = 16,
                                         .evict_after = absl::Seconds(1)};
  const auto sessions = [this](AdminAccess access) {
    AdminHandler handler = [this, access](const std::string& verb, const Json& args,
                                          const Peer& peer) {
      return api_.Handle(verb, args, peer, access);
    };
    return [handler](const Peer& peer) { return std::make_unique<AdminSession>(peer, handler); };
  };
  absl::Status added =
      (*server)->Listen(*std::move(listener), options, sessions(AdminAccess::kEverything));
  if (!added.ok()) return added;
  if (!config_.readers_socket.empty()) {
    absl::StatusOr<Listener> readers =
        Listen("readers", absl::StrCat("unix:", config_.readers_socket), config_.readers_options);
    if (!readers.ok()) return readers.status();
    added = (*server)->Listen(*std::move(readers), options, sessions(AdminAccess::kReaders));
    if (!added.ok()) return added;
  }
  admin_.server = *std::move(server);
  return absl::OkStatus();
}

absl::Status RunningDaemon::OpenApi() {
  if (config_.api_listen.empty()) return absl::OkStatus();
  absl::StatusOr<Listener> listener = Listen("api", config_.api_listen, config_.api_options);
  if (!listener.ok()) return listener.status();
  caller_ = std::make_unique<Caller>(
      [this](const std::string& verb, const Json& args, const std::string& person) {
        return api_.Handle(verb, args, {.name = person});
      });
  web_api_ = std::make_unique<WebApi>(WebApi::Parts{
      .tokens = &tokens_, .clock = &clock_, .caller = caller_.get(), .version = DEFERD_VERSION});
  if (config_.api_console) {
    console_ = std::make_unique<Console>(
        Console::Parts{.tokens = &tokens_, .clock = &clock_, .caller = caller_.get()});
  }
  OpenOwnerPage();
  web_.listeners.push_back(*std::move(listener));
  web_.handlers.bell = bell_;
  web_.handlers.api = [this](const HttpRequest& request) {
    if (owner_page_ != nullptr && OwnerPage::Has(request.path)) return owner_page_->Answer(request);
    const bool of_api = absl::StartsWith(request.path, "/api/");
    return console_ == nullptr || of_api ? web_api_->Answer(request) : console_->Answer(request);
  };
  return absl::OkStatus();
}

absl::Status RunningDaemon::OpenHttp() {
  if (config_.http_listen.empty()) return absl::OkStatus();
  for (const std::string& address : config_.http_listen) {
    if (absl::StartsWith(address, "[") && config_.http_listen.size() > 1 && !HasIpv6Loopback()) {
      spdlog::info("http: this machine has no ::1, so nothing listens on {}", address);
      continue;
    }
    absl::StatusOr<Listener> listener = Listen("http", address, {});
    if (!listener.ok()) return listener.status();
    http_.listeners.push_back(*std::move(listener));
  }
  http_.handlers.metrics = [this] { return metrics_.Text(ReadGauges(), clock_.Now()); };
  http_.handlers.not_ready = [this] { return NotReady(); };
  return absl::OkStatus();
}

}  // namespace deferd
