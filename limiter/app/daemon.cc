#include "limiter/app/daemon.h"

#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exporter/http_server.h"
#include "exporter/metrics.h"
#include "limiter/admin/admin_api.h"
#include "limiter/admin/admin_session.h"
#include "limiter/app/daemon_report.h"
#include "limiter/app/freshness_watch.h"
#include "limiter/app/journal.h"
#include "limiter/app/mail_queue.h"
#include "limiter/app/queue_keeper.h"
#include "limiter/app/queue_verb.h"
#include "limiter/app/sharing.h"
#include "limiter/app/state_dir.h"
#include "limiter/app/totals.h"
#include "limiter/case_table.h"
#include "limiter/freshness.h"
#include "limiter/gate.h"
#include "limiter/held_mail.h"
#include "limiter/hook/exim_session.h"
#include "limiter/hook/postfix_session.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/follower.h"
#include "limiter/intake/journal_follower.h"
#include "limiter/intake/log_set.h"
#include "limiter/intake/postfix_reader.h"
#include "limiter/limiter.h"
#include "limiter/port/clock.h"
#include "limiter/port/log.h"
#include "limiter/port/socket_server.h"
#include "limiter/recorder.h"
#include "limiter/state_keeper.h"
#include "limiter/store/sqlite_store.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr absl::Duration kDrain = absl::Seconds(2);

Settings MakeSettings(const Config& config, const LoadedPolicy& loaded) {
  return {loaded.policy, std::make_shared<ChargeLists>(config.charge)};
}

class RunningDaemon : public Daemon {
 public:
  RunningDaemon(Config config, LoadedPolicy policy, std::shared_ptr<const StateDir> state_dir,
                std::unique_ptr<LocalStore> store)
      : config_(std::move(config)),
        state_dir_(std::move(state_dir)),
        store_(std::move(store)),
        started_(clock_.Now()),
        policy_(std::move(policy)),
        policy_loaded_(started_),
        freshness_(started_),
        freshness_watch_(&freshness_),
        gate_(&cases_, &freshness_, &clock_, MakeSettings(config_, policy_),
              config_.queue_helper.empty() ? nullptr : &held_),
        keeper_({.ledger = config_.ledger.enabled,
                 .mail_subjects = config_.ledger_subjects,
                 .on_receipt =
                     [this](const Case& record, const std::vector<LedgerRow>& rows) {
                       if (sharing_ != nullptr) sharing_->PutReceipt(record, rows);
                     }},
                store_.get(), &clock_),
        queue_(NewMailQueue()),
        queue_keeper_(NewQueueKeeper()),
        observers_(Observers()),
        limiter_({.node = state_dir_->node(),
                  .incarnation = state_dir_->incarnation(),
                  .keep = true,
                  .shared = config_.redis.has_value()},
                 MakeSettings(config_, policy_), &clock_, &cases_, &observers_),
        api_({.limiter = &limiter_,
              .cases = &cases_,
              .gate = &gate_,
              .freshness = &freshness_,
              .clock = &clock_,
              .status = [this] { return StatusJson(); },
              .policy = [this] { return PolicyJson(); },
              .reload = [this] { return Reload(); },
              .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
              .save = [this] { return keeper_.Commit(/*durable=*/true); },
              .receipt = [this](const Case& record) { return ReceiptOf(record); },
              .ledger = reader_.get(),
              .record =
                  [this](const EventBatch& batch) {
                    keeper_.Record(batch);
                    return keeper_.Commit(/*durable=*/true);
                  },
              .queue = MakeQueueVerb(),
              .share = [this](const Subject& subject) { return WaitShared(subject); },
              .refresh =
                  [this](const Subject* subject) {
                    if (sharing_ != nullptr) sharing_->Refresh(subject);
                  }}) {}

  ~RunningDaemon() override { Stop(); }

  absl::Status Load() { return keeper_.Load(&limiter_); }
  absl::Status Share();
  absl::Status OpenDoors();
  void FollowLogs();
  void Run() override;

 private:
  struct Door {
    std::unique_ptr<SocketServer> server;
    std::thread thread;
  };

  std::unique_ptr<MailQueue> NewMailQueue();
  std::unique_ptr<QueueKeeper> NewQueueKeeper();
  std::function<absl::StatusOr<Json>(const Json&, const std::string&)> MakeQueueVerb();
  std::vector<Observer*> Observers();
  absl::StatusOr<Listener> Listen(const std::string& name, const std::string& address,
                                  const ListenOptions& options);
  absl::Status OpenHook();
  absl::Status OpenAdmin();
  absl::Status OpenHttp();
  absl::Status Reload();
  bool LookAtFreshness(size_t pending);
  void Stop();
  std::unique_ptr<Follower> FollowJournal(const std::string& mta,
                                          const LogSet::NewReader& new_reader,
                                          std::map<std::string, SourceState>* known,
                                          const Follower::Sink& sink);
  absl::Duration LongestWindow() const;
  std::vector<FollowerStatus> Sources() const;
  std::optional<Receipt> ReceiptOf(const Case& record) const;
  absl::Status WaitShared(const Subject& subject) const;
  Gauges ReadGauges() const;
  Json StatusJson() const;
  Json PolicyJson() const;
  std::string NotReady() const;

  const Config config_;
  const std::shared_ptr<const StateDir> state_dir_;
  const std::unique_ptr<LocalStore> store_;
  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();  // for the admin door
  const SystemClock clock_;
  const absl::Time started_;

  Mutex reload_mutex_;
  mutable Mutex policy_mutex_;
  LoadedPolicy policy_ ABSL_GUARDED_BY(policy_mutex_);
  absl::Time policy_loaded_ ABSL_GUARDED_BY(policy_mutex_);
  std::string policy_error_
      ABSL_GUARDED_BY(policy_mutex_);  // of the last reload; empty: it went well
  int64_t reloads_ ABSL_GUARDED_BY(policy_mutex_) = 0;
  int64_t reload_failures_ ABSL_GUARDED_BY(policy_mutex_) = 0;

  CaseTable cases_;
  Freshness freshness_;
  HeldMail held_;
  FreshnessWatch freshness_watch_;  // confined to the recorder's tick
  Gate gate_;
  Metrics metrics_;
  Journal journal_;
  Totals totals_;
  StateKeeper keeper_;
  const std::unique_ptr<MailQueue> queue_;  // null: there is no helper
  const std::unique_ptr<QueueKeeper> queue_keeper_;
  ObserverList observers_;
  Limiter limiter_;
  AdminApi api_;
  std::unique_ptr<Sharing> sharing_;  // null: one machine; fixed before the doors open

  std::unique_ptr<Recorder> recorder_;
  mutable Mutex logs_mutex_;
  std::vector<std::unique_ptr<LogSet>> logs_ ABSL_GUARDED_BY(logs_mutex_);  // by MTA
  std::vector<std::unique_ptr<Follower>> journals_ ABSL_GUARDED_BY(logs_mutex_);

  Door hook_;
  Door admin_;
  std::unique_ptr<HttpServer> http_;
  std::vector<std::pair<std::string, std::string>> listening_;  // door, address; fixed after start
  bool stopped_ = false;
};

absl::StatusOr<Listener> RunningDaemon::Listen(const std::string& name, const std::string& address,
                                               const ListenOptions& options) {
  absl::StatusOr<Listener> listener = Listener::Open(address, options);
  if (listener.ok()) listening_.emplace_back(name, listener->address());
  return listener;
}

absl::Status RunningDaemon::OpenDoors() {
  for (auto open :
       {&RunningDaemon::OpenAdmin, &RunningDaemon::OpenHook, &RunningDaemon::OpenHttp}) {
    absl::Status opened = (this->*open)();
    if (!opened.ok()) return opened;
  }
  for (const auto& [name, address] : listening_) spdlog::info("{}: listening on {}", name, address);
  return absl::OkStatus();
}

absl::Status RunningDaemon::OpenHook() {
  if (config_.hook_exim.empty() && config_.hook_postfix.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  if (!server.ok()) return server.status();
  auto answer = [this](const Question& question) {
    GateAnswer found = question.subject.has_value()
                           ? gate_.Ask(*question.subject, question.source)
                           : gate_.Ask(question.identity, question.source, question.id);
    // Until the queue is looked at, this message counts as held by its answer.
    if (queue_ != nullptr && found.verdict == Verdict::kHold &&
        question.source != Source::kQueued) {
      held_.CountOne(found.cause->subject);
    }
    return Answer{.verdict = found.verdict,
                  .unchecked = found.unchecked,
                  .trial = question.identity.sender == kTrialSender,
                  .text = std::move(found.text)};
  };
  auto answered = [this](const Answer& given, absl::Duration took) {
    if (given.trial) return;
    metrics_.OnAnswer(given.verdict, given.unchecked, took);
    totals_.OnQuestion(clock_.Now());
  };
  auto malformed = [this] { metrics_.OnMalformedQuestion(); };
  const auto listen = [&](const std::string& name, const std::string& address,
                          const SocketServer::Options& options,
                          SocketServer::NewSession new_session) -> absl::Status {
    if (address.empty()) return absl::OkStatus();
    absl::StatusOr<Listener> listener = Listen(name, address, config_.hook_options);
    if (!listener.ok()) return listener.status();
    return (*server)->Listen(*std::move(listener), options, std::move(new_session));
  };
  absl::Status opened = listen("exim", config_.hook_exim, {}, [=](const Peer&) {
    return std::make_unique<EximSession>(answer, answered, malformed);
  });
  if (!opened.ok()) return opened;
  // Postfix keeps a connection for later questions, up to five minutes without one, and takes one
  // that was closed on it for a server that is away.
  opened = listen("postfix", config_.hook_postfix, {.idle = absl::Minutes(10)}, [=](const Peer&) {
    return std::make_unique<PostfixSession>(answer, answered, malformed);
  });
  if (!opened.ok()) return opened;
  hook_.server = *std::move(server);
  hook_.thread = std::thread([this] { hook_.server->Run(); });
  return absl::OkStatus();
}

absl::Status RunningDaemon::OpenAdmin() {
  absl::StatusOr<Listener> listener =
      Listen("admin", absl::StrCat("unix:", config_.admin_socket), config_.admin_options);
  if (!listener.ok()) return listener.status();
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  if (!server.ok()) return server.status();
  AdminHandler handler = [this](const std::string& verb, const Json& args, const Peer& peer) {
    return api_.Handle(verb, args, peer);
  };
  // A list of a million subjects is a large answer, asked for by a trusted person.
  absl::Status added = (*server)->Listen(
      *std::move(listener),
      {.idle = absl::Seconds(30), .max_connections = 64, .max_pending_output = 1 << 30},
      [handler](const Peer& peer) { return std::make_unique<AdminSession>(peer, handler); });
  if (!added.ok()) return added;
  admin_.server = *std::move(server);
  admin_.thread = std::thread([this] { admin_.server->Run(); });
  return absl::OkStatus();
}

absl::Status RunningDaemon::OpenHttp() {
  if (config_.http_listen.empty()) return absl::OkStatus();
  absl::StatusOr<Listener> listener = Listen("http", config_.http_listen, {});
  if (!listener.ok()) return listener.status();
  absl::StatusOr<std::unique_ptr<HttpServer>> http =
      HttpServer::Start(*std::move(listener),
                        {.metrics = [this] { return metrics_.Text(ReadGauges(), clock_.Now()); },
                         .not_ready = [this] { return NotReady(); }});
  if (!http.ok()) return http.status();
  http_ = *std::move(http);
  return absl::OkStatus();
}

absl::Status RunningDaemon::Share() {
  if (!config_.redis.has_value()) return absl::OkStatus();
  auto lag = [this] {
    double longest = 0;
    for (const FollowerStatus& source : Sources()) {
      longest = std::max(longest, absl::ToDoubleSeconds(source.lag));
    }
    return longest;
  };
  std::vector<std::string> patterns = config_.exim_logs;
  patterns.insert(patterns.end(), config_.postfix_logs.begin(), config_.postfix_logs.end());
  sharing_ = std::make_unique<Sharing>(SharingOptions{.address = *config_.redis,
                                                      .state_dir = config_.state_dir,
                                                      .log_patterns = std::move(patterns),
                                                      .keep_receipts = config_.ledger.keep,
                                                      .lag_seconds = lag},
                                       *state_dir_, &limiter_, &keeper_, &clock_);
  absl::Status claimed = sharing_->Claim();
  if (claimed.ok()) sharing_->Start();
  return claimed;
}

std::optional<Receipt> RunningDaemon::ReceiptOf(const Case& record) const {
  std::optional<Receipt> receipt = keeper_.ReceiptOf(record);
  if (sharing_ == nullptr) return receipt;
  std::vector<LedgerRow> theirs;
  sharing_->AddReceipts(record, &theirs);
  if (!theirs.empty() && !receipt.has_value()) receipt.emplace();
  if (receipt.has_value()) receipt->others = std::move(theirs);
  return receipt;
}

absl::Status RunningDaemon::WaitShared(const Subject& subject) const {
  return sharing_ == nullptr ? absl::OkStatus() : sharing_->WaitShared(subject);
}

std::unique_ptr<MailQueue> RunningDaemon::NewMailQueue() {
  if (config_.queue_helper.empty()) return nullptr;
  return std::make_unique<MailQueue>(MailQueue::Parts{
      .helper = config_.queue_helper,
      .ledger = store_->NewReader(),
      .clock = &clock_,
      .settings = [this] { return limiter_.settings(); },
      .receipt = [this](const Case& record) { return ReceiptOf(record); },
      .record =
          [this](std::unique_ptr<EventBatch> batch) { recorder_->Submit(std::move(batch)); }});
}

std::unique_ptr<QueueKeeper> RunningDaemon::NewQueueKeeper() {
  if (queue_ == nullptr) return nullptr;
  return std::make_unique<QueueKeeper>(
      queue_.get(), &gate_, &cases_, &held_,
      [this](const std::string& name, std::optional<int64_t> number) {
        keeper_.Remember(name, number);
      });
}

std::function<absl::StatusOr<Json>(const Json&, const std::string&)>
RunningDaemon::MakeQueueVerb() {
  if (queue_ == nullptr) return nullptr;
  return [this](const Json& args, const std::string& person) {
    return QueueVerb({.queue = queue_.get(),
                      .cases = &cases_,
                      .held = &held_,
                      .wake = [this] { queue_keeper_->Wake(); }},
                     args, person);
  };
}

std::vector<Observer*> RunningDaemon::Observers() {
  std::vector<Observer*> observers = {&metrics_, &journal_, &totals_, &keeper_};
  if (queue_keeper_ != nullptr) observers.push_back(queue_keeper_.get());
  return observers;
}

void RunningDaemon::FollowLogs() {
  recorder_ = std::make_unique<Recorder>(
      &limiter_, &keeper_, [this](size_t pending) { return LookAtFreshness(pending); });
  for (const auto* patterns : {&config_.exim_logs, &config_.postfix_logs}) {
    for (const std::string& pattern : *patterns) spdlog::info("following {}", pattern);
  }
  std::map<std::string, SourceState> known;
  for (auto& [source, kept] : keeper_.TakeSources()) {
    known[source] = {std::move(kept.position), std::move(kept.open_messages)};
  }
  const LogSet::NewReader new_exim = [this] {
    return NewEximReader({.zone = config_.zone, .open_messages = true});
  };
  const LogSet::NewReader new_postfix = [this] {
    return NewPostfixReader(
        {.zone = config_.zone, .open_messages = true, .own_hosts = config_.charge.internal_hosts});
  };
  const Follower::Sink submit = [this](std::unique_ptr<EventBatch> batch) {
    return recorder_->Submit(std::move(batch));
  };
  std::vector<std::unique_ptr<Follower>> journals;
  if (config_.journal.exim) journals.push_back(FollowJournal("exim", new_exim, &known, submit));
  if (config_.journal.postfix) {
    journals.push_back(FollowJournal("postfix", new_postfix, &known, submit));
  }
  // The last hour, and the arrivals of what is still queued, may stand in the rotated file.
  const auto follow = [&](const std::vector<std::string>& patterns, LogSet::NewReader new_reader) {
    return LogSet::Start({.patterns = patterns, .follower = {.read_rotated_first = true}}, known,
                         std::move(new_reader), &clock_, submit);
  };
  std::vector<std::unique_ptr<LogSet>> logs;
  logs.push_back(follow(config_.exim_logs, new_exim));
  logs.push_back(follow(config_.postfix_logs, new_postfix));
  if (queue_keeper_ != nullptr) queue_keeper_->Start(keeper_.remembered());
  MutexLock lock(&logs_mutex_);
  logs_ = std::move(logs);
  journals_ = std::move(journals);
}

std::unique_ptr<Follower> RunningDaemon::FollowJournal(const std::string& mta,
                                                       const LogSet::NewReader& new_reader,
                                                       std::map<std::string, SourceState>* known,
                                                       const Follower::Sink& sink) {
  JournalFollowerOptions options = {.mta = mta,
                                    .source = absl::StrCat("journal:", mta),
                                    .directory = config_.journal.directory,
                                    .writers = JournalWriters(config_.journal.users, mta),
                                    .read_back = LongestWindow()};
  spdlog::info("following {}", options.source);
  std::unique_ptr<LogReader> reader;
  if (const auto it = known->find(options.source); it != known->end()) {
    reader = RestoredReader(options.source, &it->second, new_reader);
    options.resume = std::move(it->second.position);
  } else {
    reader = new_reader();
  }
  return StartJournalFollower(options, std::move(reader), &clock_, sink);
}

absl::Duration RunningDaemon::LongestWindow() const {
  absl::Duration longest;
  for (absl::Duration window : limiter_.settings().policy->Windows()) {
    longest = std::max(longest, window);
  }
  return longest;
}

std::vector<FollowerStatus> RunningDaemon::Sources() const {
  MutexLock lock(&logs_mutex_);
  std::vector<FollowerStatus> sources;
  for (const std::unique_ptr<Follower>& journal : journals_) sources.push_back(journal->status());
  for (const std::unique_ptr<LogSet>& logs : logs_) {
    for (FollowerStatus& one : logs->status()) sources.push_back(std::move(one));
  }
  return sources;
}

bool RunningDaemon::LookAtFreshness(size_t pending) {
  {
    // Before all logs are followed, and while they are let go of, nothing is known of their ends.
    MutexLock lock(&logs_mutex_);
    if (logs_.empty()) return false;
  }
  const std::vector<FollowerStatus> sources = Sources();
  return freshness_watch_.Look(
      sources, pending == 0, keeper_.status().problem, LongestWindow(), clock_.Now(),
      sharing_ == nullptr ? std::vector<std::string>() : sharing_->Causes());
}

absl::Status RunningDaemon::Reload() {
  MutexLock reload_lock(&reload_mutex_);  // SIGHUP and `deferctl reload` come on two threads
  sd_notify(0, "RELOADING=1");
  absl::StatusOr<Config> config = LoadConfig(config_.path);
  absl::StatusOr<LoadedPolicy> policy =
      config.ok() ? LoadPolicy(config->policy_path) : absl::StatusOr<LoadedPolicy>(config.status());
  sd_notify(0, "READY=1");
  if (!policy.ok()) {
    {
      MutexLock lock(&policy_mutex_);
      policy_error_ = std::string(policy.status().message());
      ++reload_failures_;
    }
    for (absl::string_view line : absl::StrSplit(policy.status().message(), '\n')) {
      spdlog::error("reload: {}", line);
    }
    spdlog::error("reload failed: the policy of before stays in force");
    return policy.status();
  }
  for (const std::string& warning : config->warnings) spdlog::warn("{}: {}", config->path, warning);
  for (const std::string& table : NeedRestart(config_, *config)) {
    spdlog::warn("{}: {} has changed; that takes a restart", config->path, table);
  }
  const Settings settings = MakeSettings(*config, *policy);
  gate_.SetSettings(settings);
  limiter_.SetSettings(settings);
  MutexLock lock(&policy_mutex_);
  policy_ = *std::move(policy);
  policy_loaded_ = clock_.Now();
  policy_error_.clear();
  ++reloads_;
  spdlog::info("reloaded: policy {} ({}), mode {}", policy_.policy->path, policy_.policy->hash,
               policy_.policy->mode == Mode::kShadow ? "shadow" : "enforce");
  return absl::OkStatus();
}

void RunningDaemon::Run() {
  sd_notify(0, "READY=1\nSTATUS=following logs and answering");
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  while (true) {
    const int signal = sigwaitinfo(&signals, nullptr);
    if (signal == SIGHUP) {
      Reload().IgnoreError();  // told in the log; the old policy stays
    } else if (signal == SIGTERM || signal == SIGINT) {
      spdlog::info("ending: {}", strsignal(signal));
      break;
    }
  }
  sd_notify(0, "STOPPING=1");
  Stop();
}

// Doors first, so that no answer is given from a table that is no longer kept; then the logs, then
// what was read of them.
void RunningDaemon::Stop() {
  if (std::exchange(stopped_, true)) return;
  http_.reset();
  for (Door* door : {&hook_, &admin_}) {
    if (!door->thread.joinable()) continue;
    door->server->Stop(kDrain);
    door->thread.join();
  }
  if (queue_keeper_ != nullptr) queue_keeper_->Stop();
  std::vector<std::unique_ptr<LogSet>> logs;
  std::vector<std::unique_ptr<Follower>> journals;
  {
    MutexLock lock(&logs_mutex_);
    logs.swap(logs_);
    journals.swap(journals_);
  }
  journals.clear();
  logs.clear();
  if (recorder_ != nullptr) recorder_->Stop();
  if (sharing_ != nullptr) sharing_->Stop();
}

Gauges RunningDaemon::ReadGauges() const {
  Gauges gauges;
  for (const FollowerStatus& source : Sources()) {
    gauges.sources.push_back({.path = source.path,
                              .lag_seconds = absl::ToDoubleSeconds(source.lag),
                              .gaps = source.gaps,
                              .bytes = source.bytes,
                              .readable = source.readable});
    gauges.open_messages += source.open_messages;
    gauges.evicted_messages += source.evicted;
  }
  const Limiter::Stats stats = limiter_.stats();
  gauges.subjects = stats.subjects;
  gauges.evicted_messages += stats.evicted;
  gauges.open_cases = cases_.CountOpen(/*shadow=*/false);
  gauges.shadow_cases = cases_.CountOpen(/*shadow=*/true);
  for (const Incident& incident : limiter_.ShownIncidents()) {
    if (incident.open()) ++gauges.open_incidents[static_cast<size_t>(incident.scope)];
  }
  gauges.queued_batches = recorder_->pending();
  gauges.unchecked = freshness_.unchecked();
  if (sharing_ != nullptr) gauges.shared = sharing_->ReadGauges();
  if (queue_keeper_ != nullptr) gauges.held_messages = queue_keeper_->held_messages();
  if (hook_.server != nullptr) {
    gauges.hook_connections = hook_.server->stats().open;
    gauges.hook_refused = hook_.server->stats().refused;
  }
  const StateKeeper::Status kept = keeper_.status();
  gauges.commits = kept.commits;
  gauges.failed_commits = kept.failures;
  gauges.ledger_lost_rows = kept.lost_rows;
  const LocalStore::Stats store = store_->stats();
  gauges.ledger_rows = store.ledger_rows;
  gauges.ledger_dropped_segments = store.dropped_segments;
  gauges.store_bytes = store.bytes;
  gauges.started = started_;
  gauges.version = kVersion;
  MutexLock lock(&policy_mutex_);
  gauges.policy_loaded = policy_loaded_;
  gauges.policy_stale = !policy_error_.empty();
  gauges.policy_reloads = reloads_;
  gauges.policy_reload_failures = reload_failures_;
  return gauges;
}

Json RunningDaemon::StatusJson() const {
  Json listening = Json::object();
  for (const auto& [name, address] : listening_) listening[name] = address;
  const Freshness::State freshness = freshness_.Get();
  const Json policy = PolicyJson();
  return {{"version", kVersion},
          {"node", state_dir_->node()},
          {"incarnation", state_dir_->incarnation()},
          {"mode", policy["mode"]},
          {"policy",
           {{"path", policy["path"]},
            {"hash", policy["hash"]},
            {"loaded", policy["loaded"]},
            {"stale", policy["stale"]},
            {"error", policy["error"]}}},
          {"unchecked", !freshness.causes.empty()},
          {"causes", freshness.causes},
          {"sources", SourcesJson(Sources())},
          {"store", StoreJson(config_, keeper_.status(), store_->stats())},
          {"shared", sharing_ == nullptr ? Json(nullptr) : sharing_->StatusJson()},
          {"queue", queue_keeper_ == nullptr ? Json(nullptr) : queue_keeper_->StatusJson()},
          {"uptime", deferd::FormatDuration(absl::Seconds(1) + absl::Trunc(clock_.Now() - started_,
                                                                           absl::Seconds(1)))},
          {"lines", totals_.LinesJson()},
          {"charged", totals_.ChargedJson()},
          {"left_out", totals_.LeftOutJson()},
          {"questions", totals_.QuestionsJson()},
          {"hosted_list", !config_.charge.hosted.empty()},
          {"subjects", limiter_.stats().subjects},
          {"blocked", cases_.CountOpen(/*shadow=*/false)},
          {"shadow", cases_.CountOpen(/*shadow=*/true)},
          {"incidents", IncidentsJson(limiter_.ShownIncidents(), /*ended=*/false)},
          {"listening", listening}};
}

Json RunningDaemon::PolicyJson() const {
  MutexLock lock(&policy_mutex_);
  return {{"path", policy_.policy->path},
          {"hash", policy_.policy->hash},
          {"loaded", FormatUtc(policy_loaded_)},
          {"mode", policy_.policy->mode == Mode::kShadow ? "shadow" : "enforce"},
          {"stale", !policy_error_.empty()},
          {"error", policy_error_},
          {"toml", policy_.toml}};
}

std::string RunningDaemon::NotReady() const {
  const Freshness::State freshness = freshness_.Get();
  std::string missing;
  for (const std::string& cause : freshness.causes) {
    // Without Redis it answers from what it has: unchecked, but ready.
    if (!absl::StartsWith(cause, "redis: ")) absl::StrAppend(&missing, cause, "\n");
  }
  return missing;
}

// Opens and loads the state; nullptr into `daemon` if that fails.
absl::Status OpenAndLoad(const Config& config, const LoadedPolicy& policy,
                         const std::shared_ptr<const StateDir>& state_dir,
                         std::unique_ptr<RunningDaemon>* daemon) {
  absl::StatusOr<std::unique_ptr<LocalStore>> store =
      OpenSqliteStore(StatePath(config.state_dir), state_dir->node(), config.ledger);
  if (!store.ok()) return store.status();
  auto made = std::make_unique<RunningDaemon>(config, policy, state_dir, *std::move(store));
  absl::Status loaded = made->Load();
  if (loaded.ok()) *daemon = std::move(made);
  return loaded;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(Config config, bool set_aside) {
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy(config.policy_path);
  if (!policy.ok()) return policy.status();
  absl::StatusOr<StateDir> state_dir = StateDir::Open(config.state_dir, config.node_name);
  if (!state_dir.ok()) return state_dir.status();
  for (const std::string& warning : config.warnings) spdlog::warn("{}: {}", config.path, warning);
  if (config.exim_logs.empty() && config.postfix_logs.empty() && !config.journal.exim &&
      !config.journal.postfix) {
    spdlog::warn("{}: [intake] names no log: only what a person blocks will be blocked",
                 config.path);
  }
  spdlog::info("deferd {} starts: node {}, policy {} ({}), mode {}", kVersion, state_dir->node(),
               policy->policy->path, policy->policy->hash,
               policy->policy->mode == Mode::kShadow ? "shadow" : "enforce");
  const auto held = std::make_shared<const StateDir>(*std::move(state_dir));
  std::unique_ptr<RunningDaemon> daemon;
  absl::Status loaded = OpenAndLoad(config, *policy, held, &daemon);
  // Asked to look after damage, one looks everywhere.
  if (loaded.ok() && set_aside) loaded = CheckSqliteStore(StatePath(config.state_dir));
  if (absl::IsDataLoss(loaded) && set_aside) {
    spdlog::error("{}", loaded);
    spdlog::warn("{} is set aside: what people blocked and unblocked is forgotten with it",
                 StatePath(config.state_dir));
    daemon.reset();
    loaded = SetAside(config.state_dir, SystemClock().Now());
    if (loaded.ok()) loaded = OpenAndLoad(config, *policy, held, &daemon);
  }
  if (absl::IsDataLoss(loaded)) {
    return absl::DataLossError(
        absl::StrCat(loaded.message(),
                     "; deferd --set-aside-damaged-state renames it and counts "
                     "the logs anew"));
  }
  if (!loaded.ok()) return loaded;
  absl::Status shared = daemon->Share();
  if (!shared.ok()) return shared;
  daemon->FollowLogs();
  absl::Status opened = daemon->OpenDoors();
  if (!opened.ok()) return opened;
  return daemon;
}

}  // namespace deferd
