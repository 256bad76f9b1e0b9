#include "limiter/app/daemon.h"

#include <signal.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "limiter/app/policy_trial.h"
#include "limiter/app/reload_changes.h"
#include "limiter/app/reload_guard.h"
#include "limiter/app/running_daemon.h"
#include "limiter/port/log.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/sqlite_store.h"

namespace deferd {

namespace {

constexpr time_t kLookAtListsSeconds = 2;
constexpr absl::Duration kDrain = absl::Seconds(2);
constexpr absl::Duration kReleaseLimit = absl::Seconds(10);  // that `queue release` waits

void LogLines(absl::string_view mistakes) {
  for (absl::string_view line : absl::StrSplit(mistakes, '\n')) spdlog::error("{}", line);
}

// For the next start. Failing on a full disk does not affect this run.
void Keep(const std::string& state_dir, const Config& config, const LoadedPolicy& policy) {
  if (config.policy_path.empty() || !policy.error.empty()) return;
  const absl::Status kept = KeepPolicy(state_dir, policy.toml);
  if (!kept.ok()) spdlog::warn("{}", kept.message());
}

}  // namespace

Settings MakeSettings(const Config& config, const LoadedPolicy& loaded) {
  return {loaded.policy, std::make_shared<ChargeLists>(config.charge)};
}

absl::Status RunningDaemon::Share() {
  if (config_.redis.empty()) return absl::OkStatus();
  auto lag = [this] {
    double longest = 0;
    for (const FollowerStatus& source : Sources()) {
      longest = std::max(longest, absl::ToDoubleSeconds(source.lag));
    }
    return longest;
  };
  std::vector<std::string> patterns = config_.exim_logs;
  patterns.insert(patterns.end(), config_.postfix_logs.begin(), config_.postfix_logs.end());
  SharingOptions options = {
      .where = absl::StrJoin(
          config_.redis, ", ",
          [](std::string* out, const RedisAddress& one) { out->append(one.ToString()); }),
      .new_store = [redis =
                        config_.redis](const auto& store) { return NewRedisShards(redis, store); },
      .state_dir = config_.state_dir,
      .log_patterns = std::move(patterns),
      .keep_receipts = config_.ledger.keep,
      .lag_seconds = lag};
  sharing_ =
      std::make_unique<Sharing>(std::move(options), *state_dir_, &limiter_, &committer_, &clock_);
  absl::Status claimed = sharing_->Claim();
  if (claimed.ok()) sharing_->Start();
  return claimed;
}

absl::Status RunningDaemon::Load() {
  if (absl::Status loaded = committer_.Load(); !loaded.ok()) return loaded;
  api_.RestoreMarks(committer_.remembered());
  std::vector<Case> cases = cases_.Closed(CaseTable::kMaxHistory);  // their mail may still be held
  absl::c_move(cases_.Open(), std::back_inserter(cases));
  for (const Case& record : cases) {
    const std::optional<Receipt> receipt = committer_.ReceiptOf(record);
    if (receipt.has_value() && receipt->sure) sure_.Add(record.id);
  }
  return absl::OkStatus();
}

std::optional<Receipt> RunningDaemon::ReceiptOf(const Case& record) const {
  std::optional<Receipt> receipt = committer_.ReceiptOf(record);
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
  if (config_.queue_helpers.empty()) return nullptr;
  return std::make_unique<MailQueue>(MailQueue::Parts{
      .helpers = config_.queue_helpers,
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
        committer_.Remember(name, number);
      });
}

std::function<absl::StatusOr<Json>(const Json&, const std::string&)>
RunningDaemon::MakeQueueVerb() {
  if (queue_ == nullptr) return nullptr;
  return [this](const Json& args, const std::string& person) {
    return QueueVerb(MakeQueueVerbParts(), args, person);
  };
}

QueueVerbParts RunningDaemon::MakeQueueVerbParts() {
  return {.queue = queue_.get(),
          .cases = &cases_,
          .held = &held_,
          .release = [this](const std::vector<std::string>& ids) {
            return queue_keeper_->LookNow(ids, kReleaseLimit);
          }};
}

AdminApi::HeldParts RunningDaemon::MakeHeldParts() {
  if (queue_ == nullptr) return {};
  return {
      .of =
          [this](const Subject& subject) { return HeldForSubject(MakeQueueVerbParts(), subject); },
      .stays_for =
          [this](const Case& ended, int64_t messages) {
            return WhyPersonDecides(ended, messages, *limiter_.settings().policy, cases_,
                                    [this](const Case& record) { return queue_->GraveOf(record); });
          },
      .seen = [this] { return queue_keeper_->StatusJson(); },
      .postfix_defers =
          [this] {
            return absl::c_any_of(postfix_doors_,
                                  [this](const std::string& door) { return PostfixDefers(door); });
          }};
}

std::vector<Observer*> RunningDaemon::Observers() {
  std::vector<Observer*> observers = {&metrics_, &journal_, &totals_, &charge_tally_};
  if (queue_keeper_ != nullptr) observers.push_back(queue_keeper_.get());
  if (!config_.api_listen.empty()) observers.push_back(&event_log_);
  return observers;
}

LastDay RunningDaemon::LastDayOf(const ChargeLists* lists, LedgerReader* reader,
                                 absl::Duration at_most) const {
  const auto enough = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(at_most);
  return {.lists = lists,
          .search = [reader](const LedgerQuery& query) { return reader->Search(query); },
          .now = clock_.Now(),
          .out_of_time = [enough] { return std::chrono::steady_clock::now() > enough; }};
}

absl::Status RunningDaemon::Guard(const Config& config, const LoadedPolicy& policy) {
  std::shared_ptr<const Policy> before;
  {
    MutexLock lock(&policy_mutex_);
    before = policy_.policy;
  }
  if (!config.reload_guard.has_value() || before->hash == policy.policy->hash) {
    return absl::OkStatus();
  }
  const std::unique_ptr<LedgerReader> reader = store_->NewReader();
  const ReloadGuard guard = {.percent = *config.reload_guard,
                             .day = LastDayOf(&config.charge, reader.get(), ReloadGuard::kAtMost)};
  std::string unknown;
  absl::Status allowed = guard.Check(before, policy.policy, &unknown);
  if (!unknown.empty()) spdlog::warn("reload_guard: the last day is not known whole: {}", unknown);
  return allowed;
}

absl::StatusOr<Json> RunningDaemon::TryPolicy(const std::string& toml) const {
  std::shared_ptr<const Policy> before;
  {
    MutexLock lock(&policy_mutex_);
    before = policy_.policy;
  }
  const std::shared_ptr<const ChargeLists> lists = limiter_.settings().lists;
  const std::unique_ptr<LedgerReader> reader = store_->NewReader();
  const PolicyTrial trial = {.day = LastDayOf(lists.get(), reader.get(), PolicyTrial::kAtMost)};
  return trial.Diff(before, toml);
}

absl::Status RunningDaemon::Reload(bool force) {
  MutexLock reload_lock(&reload_mutex_);  // SIGHUP and `deferctl reload` come on two threads
  sd_notify(0, "RELOADING=1");
  absl::StatusOr<Config> config = LoadConfig(config_.path);
  absl::StatusOr<LoadedPolicy> policy =
      config.ok() ? LoadPolicy(config->policy_path) : absl::StatusOr<LoadedPolicy>(config.status());
  if (policy.ok() && !force) {
    const absl::Status allowed = Guard(*config, *policy);
    if (!allowed.ok()) policy = allowed;
  }
  sd_notify(0, "READY=1");
  if (!policy.ok()) {
    {
      MutexLock lock(&policy_mutex_);
      policy_error_ = std::string(policy.status().message());
      ++reload_failures_;
    }
    LogLines(policy.status().message());
    spdlog::error("reload failed: the previous policy stays in force");
    return policy.status();
  }
  for (const std::string& warning : config->warnings) spdlog::warn("{}: {}", config->path, warning);
  std::vector<std::string> changes;
  {
    MutexLock lock(&policy_mutex_);
    changes = PolicyChanges(*policy_.policy, *policy->policy);
  }
  const std::string& text_before = loaded_.path.empty() ? config_.text : loaded_.text;
  if (config->text != text_before) changes.push_back(absl::StrCat(config->path, " has changed"));
  for (const std::string& table : NeedRestart(config_, *config)) {
    changes.push_back(absl::StrCat(table, " has changed; restart deferd to apply it"));
    spdlog::warn("{}: {}", config->path, changes.back());
  }
  const Settings settings = MakeSettings(*config, *policy);
  Keep(config_.state_dir, *config, *policy);
  const std::vector<Case> open = cases_.Open();
  Apply(settings);
  if (SetNoticeSinks(config->notices)) changes.push_back("[notice]: other sinks are in force");
  if (config->text != text_before || lists_watch_.Changed()) BeginCharging();
  for (std::string& change : EndedByPolicy(open, cases_)) changes.push_back(std::move(change));
  if (changes.empty()) changes.push_back("nothing has changed");
  loaded_ = *std::move(config);
  lists_failed_ = false;
  {
    MutexLock lock(&policy_mutex_);
    policy_ = *std::move(policy);
  }
  WatchLists();
  MutexLock lock(&policy_mutex_);
  policy_loaded_ = clock_.Now();
  policy_error_.clear();
  ++reloads_;
  changes_ = std::move(changes);
  spdlog::info("reloaded: policy {} ({}), mode {}: {}", policy_.policy->path, policy_.policy->hash,
               ModeName(policy_.policy->mode), absl::StrJoin(changes_, "; "));
  return absl::OkStatus();
}

void RunningDaemon::Apply(const Settings& settings) {
  gate_.SetSettings(settings);
  committer_.SetSettings(settings);
  judges_sent_.store(settings.policy->JudgesSent());
}

// Findings of doctor and alarms refer to the [charge] in force.
void RunningDaemon::BeginCharging() {
  totals_.BeginCharging();
  charge_tally_.Begin();
  MutexLock lock(&blind_mutex_);
  blind_watch_.ForgetCharge();
}

void RunningDaemon::WatchLists() {
  std::vector<std::string> files = loaded_.charge_files;
  MutexLock lock(&policy_mutex_);
  const std::vector<std::string>& lists = policy_.policy->list_files;
  files.insert(files.end(), lists.begin(), lists.end());
  lists_watch_.Watch(std::move(files));
}

// Panels rewrite these files without notifying anybody.
void RunningDaemon::LookAtLists() {
  MutexLock reload_lock(&reload_mutex_);
  if (!lists_watch_.Changed()) return;
  absl::StatusOr<Config> config = ReadListsAgain(loaded_);
  LoadedPolicy policy;
  {
    MutexLock lock(&policy_mutex_);
    policy = policy_;
  }
  absl::StatusOr<LoadedPolicy> again = ReadListsAgain(policy);
  const absl::Status read = config.ok() ? again.status() : config.status();
  {
    MutexLock lock(&policy_mutex_);
    if (!read.ok()) {
      policy_error_ = std::string(read.message());
    } else {
      if (lists_failed_) policy_error_.clear();
      policy_.policy = again->policy;
    }
  }
  lists_failed_ = !read.ok();
  if (lists_failed_) {
    LogLines(read.message());
    spdlog::error("a list has changed and cannot be read; the previous lists stay in force");
    return;
  }
  loaded_ = *std::move(config);
  const Settings settings = MakeSettings(loaded_, *again);
  Apply(settings);
  BeginCharging();
  spdlog::info("the lists of [charge] and of the policy have changed: read again");
}

void RunningDaemon::Run() {
  {
    MutexLock lock(&reload_mutex_);
    if (loaded_.path.empty()) loaded_ = config_;  // otherwise a reload came first
    WatchLists();
  }
  watchdog_ = std::make_unique<Watchdog>(hook_.server.get());
  sd_notify(0, "READY=1\nSTATUS=following logs and answering");
  watchdog_->Start();
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  while (true) {
    const timespec wait = {.tv_sec = kLookAtListsSeconds, .tv_nsec = 0};
    const int signal = sigtimedwait(&signals, nullptr, &wait);
    if (signal < 0) {
      LookAtLists();
    } else if (signal == SIGHUP) {
      Reload(/*force=*/false).IgnoreError();  // logged there; the old policy stays
    } else if (signal == SIGTERM || signal == SIGINT) {
      spdlog::info("stopping: {}", strsignal(signal));
      break;
    }
  }
  watchdog_->Stopping();
  sd_notify(0, "STOPPING=1");
  Stop();
}

// Sockets first, so that no answer comes from a table that is no longer maintained; then the logs,
// then the lines already read.
void RunningDaemon::Stop() {
  if (std::exchange(stopped_, true)) return;
  http_.server.reset();
  web_.server.reset();
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
  if (dispatcher_ != nullptr) dispatcher_->Stop();
  if (recorder_ != nullptr) recorder_->Stop();
  if (sharing_ != nullptr) sharing_->Stop();
}

namespace {

// Opens and loads the state; leaves `daemon` null on failure.
absl::Status OpenAndLoad(const Config& config, const LoadedPolicy& policy,
                         const std::shared_ptr<const StateDir>& state_dir,
                         std::unique_ptr<RunningDaemon>* daemon) {
  if (state_dir->incarnation() > 1 && access(StatePath(config.state_dir).c_str(), F_OK) != 0) {
    spdlog::warn(
        "{} is missing, although deferd has run here before: blocks and unblocks by "
        "people are lost, the counts are read from the logs again",
        StatePath(config.state_dir));
  }
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
  if (geteuid() == 0) {
    const std::string trouble = TroubleAsRoot(config.state_dir);
    if (!trouble.empty()) spdlog::warn("{}", trouble);
  }
  absl::StatusOr<StateDir> state_dir = StateDir::Open(config.state_dir, config.node_name);
  if (!state_dir.ok()) return state_dir.status();
  absl::StatusOr<LoadedPolicy> policy =
      LoadPolicyOrKept(config.policy_path, KeptPolicyPath(config.state_dir));
  if (!policy.ok()) return policy.status();
  if (!policy->error.empty()) {
    LogLines(policy->error);
    spdlog::error(
        "{}: invalid policy; the last valid policy stays in force until this file is fixed",
        config.policy_path);
  }
  Keep(config.state_dir, config, *policy);
  for (const std::string& warning : config.warnings) spdlog::warn("{}: {}", config.path, warning);
  if (config.exim_logs.empty() && config.postfix_logs.empty() && !config.journal.exim &&
      !config.journal.postfix) {
    spdlog::warn("{}: [intake] names no log; deferd blocks nobody by itself", config.path);
  }
  spdlog::info("deferd {} starts: node {}, policy {} ({}), mode {}", kVersion, state_dir->node(),
               policy->policy->path, policy->policy->hash, ModeName(policy->policy->mode));
  const auto held = std::make_shared<const StateDir>(*std::move(state_dir));
  std::unique_ptr<RunningDaemon> daemon;
  absl::Status loaded = OpenAndLoad(config, *policy, held, &daemon);
  // The operator asked for a damage check: check everything.
  if (loaded.ok() && set_aside) loaded = CheckSqliteStore(StatePath(config.state_dir));
  if (absl::IsDataLoss(loaded) && set_aside) {
    spdlog::error("{}", loaded);
    spdlog::warn("{} has been set aside; blocks and unblocks by people are lost with it",
                 StatePath(config.state_dir));
    daemon.reset();
    loaded = SetAside(config.state_dir, SystemClock().Now());
    if (loaded.ok()) loaded = OpenAndLoad(config, *policy, held, &daemon);
  }
  if (absl::IsDataLoss(loaded)) {
    return absl::DataLossError(
        absl::StrCat(loaded.message(),
                     "; deferd --set-aside-damaged-state renames it and reads "
                     "the counts from the logs again"));
  }
  if (!loaded.ok()) return loaded;
  absl::Status shared = daemon->Share();
  if (!shared.ok()) return shared;
  daemon->StartNotices();
  daemon->FollowLogs();
  absl::Status opened = daemon->OpenDoors();
  if (!opened.ok()) return opened;
  return daemon;
}

}  // namespace deferd
