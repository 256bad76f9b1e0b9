// deferd-queue: the root helper's command line.

#include <fcntl.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "limiter/localrpc/admin_session.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/clock.h"
#include "limiter/port/listener.h"
#include "limiter/port/log.h"
#include "limiter/port/pid_file.h"
#include "limiter/port/socket_server.h"
#include "limiter/queue_helper/queue_helper.h"
#include "limiter/queue_helper/sender_table.h"
#include "policy/json_limits.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace deferd {
namespace {

constexpr int kUsage = 2;
constexpr int kTempFail = 75;  // sysexits.h; pipe(8) defers the message

int Fail(const std::string& message) {
  std::fprintf(stderr, "deferd-queue: %s\n", message.c_str());
  return 1;
}

// The largest request is `defer`: kMaxDeferredKeys names with their texts.
constexpr JsonLimits kRequestLimits = {
    .max_bytes = 4 << 20, .max_depth = 4, .max_values = 3 * kMaxDeferredKeys};
// How often the sender table's age is checked.
constexpr timespec kTick = {.tv_sec = 10, .tv_nsec = 0};
constexpr absl::Duration kRefusalLogged = absl::Minutes(1);

// What a started program gets of this process is only what Commands gives it: no working directory
// of the caller, no core file with mail in it.
absl::Status IsolatePrograms() {
  for (int fd = open("/dev/null", O_RDWR); fd <= STDERR_FILENO; fd = open("/dev/null", O_RDWR)) {
    if (fd < 0) return absl::UnavailableError(absl::StrCat("/dev/null: ", std::strerror(errno)));
  }
  if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0 || chdir("/") != 0) {
    return absl::UnavailableError(absl::StrCat("cannot prepare: ", std::strerror(errno)));
  }
  umask(022);
  const rlimit none = {.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
  return absl::OkStatus();
}

bool IsProgram(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

void Warn(const absl::Status& status) {
  if (!status.ok()) spdlog::warn("{}", status.message());
}

// Does not distinguish refused users: their number is unbounded.
void WarnOfStranger(const Peer& peer) {
  static absl::Duration warned = -absl::InfiniteDuration();  // of the server's thread
  const absl::Duration now = SystemClock().Elapsed();
  if (now - warned < kRefusalLogged) return;
  warned = now;
  spdlog::warn("refused a connection from uid {}, pid {}: only deferd and root may connect",
               peer.uid, peer.pid);
}

absl::Status Serve(const std::string& socket, const std::string& group,
                   const QueueHelper::Options& options) {
  if (socket.empty() || socket.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("--socket ", socket,
                     ": deferd-queue listens on unix sockets only, because TCP cannot identify "
                     "the client; give an absolute path"));
  }
  absl::StatusOr<Listener> listener =
      Listener::Open(absl::StrCat("unix:", socket), {.mode = 0660, .group = group});
  if (!listener.ok()) return listener.status();
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  if (!server.ok()) return server.status();
  QueueHelper helper(options);
  std::atomic<bool> ending{false};
  AdminHandler handler = [&](const std::string& verb, const Json& args,
                             const Peer& peer) -> absl::StatusOr<Json> {
    // A request may wait for a slow mail server; stopping waits for one request, not for all.
    if (ending.load()) return absl::UnavailableError("deferd-queue is stopping");
    return helper.Handle(verb, args, peer);
  };
  absl::Status added = (*server)->Listen(
      *std::move(listener),
      {.idle = absl::Seconds(60),
       .max_connections = 16,
       .trusted = {0},
       .reserved = 4,
       .max_per_peer = 8,
       .evict_after = absl::Seconds(1)},
      [&](const Peer& peer) -> std::unique_ptr<Session> {
        // Decided before any byte is read.
        if (!helper.IsAllowed(peer)) {
          WarnOfStranger(peer);
          return nullptr;
        }
        return std::make_unique<AdminSession>(
            peer, handler, AdminSession::Options{.limits = kRequestLimits, .one_request = true});
      });
  if (!added.ok()) return added;
  // The server's thread, and each program that it starts, keeps the signals blocked.
  std::thread thread([&server] { (*server)->Run(); });
  spdlog::info("listening on {}", socket);
  const PidFile pid_file(socket);
  sd_notify(0, "READY=1");
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  SenderTable* const table = options.sender_table;
  while (sigtimedwait(&signals, nullptr, &kTick) < 0) {  // EAGAIN, EINTR
    if (table != nullptr) Warn(table->Tick());
  }
  ending.store(true);
  (*server)->Stop(absl::Seconds(2));
  thread.join();
  // After the stop nobody would remove entries from the table.
  return table == nullptr ? absl::OkStatus() : table->Set({});
}

// Reads what systemd passes to ExecStopPost=.
bool HasCrashed() {
  const char* const result = std::getenv("SERVICE_RESULT");
  if (result == nullptr) return false;
  for (const char* crash :
       {"signal", "core-dump", "exit-code", "oom-kill", "watchdog", "protocol", "resources"}) {
    if (absl::string_view(result) == crash) return true;
  }
  return false;
}

int Main(int argc, char** argv) {
  CLI::App app{
      "deferd-queue changes the mail queue for deferd, which runs without root: it holds messages, "
      "releases them and returns them to their senders. It runs as root and accepts requests from "
      "deferd and deferctl.",
      "deferd-queue"};
  std::string socket = kQueueHelperSocket;
  std::string user = "deferd";
  std::string table_path = "/var/lib/deferd-queue/senders";
  bool empty_table = false;
  std::string defer_text;
  QueueHelper::Options options;
  MtaPrograms& programs = options.programs;
  programs.exim = "/usr/sbin/exim4";
  programs.postfix = "/usr/sbin";
  app.add_option("--socket", socket, "unix socket to listen on")->capture_default_str();
  app.add_option("--user", user, "user that may connect, besides root")->capture_default_str();
  app.add_option("--exim", programs.exim, "path of the Exim binary")->capture_default_str();
  app.add_option("--exim-config", programs.exim_config, "Exim configuration file (exim -C)");
  app.add_option("--postfix", programs.postfix, "directory of Postfix's postsuper")
      ->capture_default_str();
  app.add_option("--postfix-config", programs.postfix_config,
                 "Postfix configuration directory (postsuper -c)");
  app.add_option("--sender-table", table_path,
                 "lookup table with which Postfix defers mail of blocked senders")
      ->capture_default_str();
  app.add_flag(
      "--empty-sender-table", empty_table,
      "empties the sender table and exits (for ExecStopPost=); after a crash ($SERVICE_RESULT) "
      "only if deferd is silent");
  const CLI::Option* defers =
      app.add_option("--defer,--put-off", defer_text,
                     "prints a temporary failure with this text and exits: for Postfix's transport "
                     "deferd-held");
  app.add_flag("--allow-discard", options.allow_discard, "root may discard messages");
  app.add_flag("--allow-redirect", options.allow_redirect,
               "root may redirect a message to another address");
  app.add_flag("--allow-deferd", options.allow_deferd,
               "deferd may do for admins of its console what the two above allow root");
  app.add_flag("--deny-give-back", options.deny_give_back,
               "deferd may not return messages to their senders");
  app.set_version_flag("--version", std::string("deferd-queue ") + DEFERD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (defers->count() > 0) {
    std::printf("4.7.1 %s\n", defer_text.c_str());
    return kTempFail;
  }
  for (const std::string* path : {&programs.exim, &programs.exim_config, &programs.postfix,
                                  &programs.postfix_config, &table_path, &socket}) {
    if (!path->empty() && path->front() != '/') {
      return Fail(absl::StrCat(*path, ": give an absolute path"));
    }
  }
  if (absl::Status isolated = IsolatePrograms(); !isolated.ok()) {
    return Fail(std::string(isolated.message()));
  }
  if (!IsProgram(programs.exim)) programs.exim.clear();
  if (!IsProgram(programs.postfix + "/postsuper")) programs.postfix.clear();
  if (programs.exim.empty() && programs.postfix.empty()) {
    return Fail("found neither Exim nor Postfix; name one with --exim or --postfix");
  }
  const SystemClock clock;
  std::optional<SenderTable> table;
  if (IsProgram(programs.postfix + "/postmap")) {
    std::vector<std::string> postmap = {programs.postfix + "/postmap"};
    if (!programs.postfix_config.empty()) {
      postmap.insert(postmap.end(), {"-c", programs.postfix_config});
    }
    options.sender_table = &table.emplace(std::move(postmap), table_path, &clock);
  }
  if (empty_table) {
    if (!table.has_value()) return 0;
    // systemd restarts a crashed service: keep the table unless deferd has been silent.
    absl::Status done;
    if (HasCrashed()) {
      done = table->Open();
      if (done.ok()) done = table->Tick();
    } else {
      done = table->Set({});
    }
    return done.ok() ? 0 : Fail(std::string(done.message()));
  }
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) {
    return Fail(
        absl::StrCat("--user ", user,
                     ": no such user; create the user as described in the manual (install.md)"));
  }
  options.uid = entry->pw_uid;

  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  auto logger = spdlog::stderr_logger_mt("deferd-queue");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));

  if (table.has_value()) Warn(table->Open());
  const std::string group = entry->pw_uid == 0 ? "" : user;
  const absl::Status served = Serve(socket, group, options);
  return served.ok() ? 0 : Fail(std::string(served.message()));
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
