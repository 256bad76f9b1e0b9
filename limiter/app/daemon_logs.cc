#include "limiter/app/running_daemon.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/config/config_check.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/log.h"
#include "policy/duration.h"

namespace deferd {

namespace {
constexpr absl::Duration kLookForBlindnessEvery = absl::Seconds(10);
}  // namespace

void RunningDaemon::FollowLogs() {
  recorder_ = std::make_unique<Recorder>(
      &committer_, [this](size_t pending) { return LookAtFreshness(pending); });
  const std::vector<std::string> exim_logs =
      LogsToFollow(config_.exim_logs, OnlyTheOtherIsHere(HookDoor::kExim));
  const std::vector<std::string> postfix_logs =
      LogsToFollow(config_.postfix_logs, OnlyTheOtherIsHere(HookDoor::kPostfix));
  for (const auto* patterns : {&exim_logs, &postfix_logs}) {
    for (const std::string& pattern : *patterns) spdlog::info("following {}", pattern);
  }
  std::map<std::string, SourceState> known;
  for (auto& [source, kept] : committer_.TakeSources()) {
    known[source] = {std::move(kept.position), std::move(kept.open_messages)};
  }
  const LogSet::NewReader new_exim = [this] {
    return NewEximReader({.zone = config_.zone,
                          .open_messages = true,
                          .own_hosts = config_.charge.internal_hosts,
                          .relay_hosts = config_.charge.relay_hosts,
                          .own_mail = OwnMailTestOf(&own_mail_)});
  };
  const LogSet::NewReader new_postfix = [this] {
    return NewPostfixReader({.zone = config_.zone,
                             .open_messages = true,
                             .own_hosts = config_.charge.internal_hosts,
                             .relay_hosts = config_.charge.relay_hosts,
                             .own_mail = OwnMailTestOf(&own_mail_)});
  };
  const Follower::Sink submit = [this](std::unique_ptr<EventBatch> batch) {
    return recorder_->Submit(std::move(batch));
  };
  std::vector<std::unique_ptr<Follower>> journals;
  if (config_.journal.exim) journals.push_back(FollowJournal("exim", new_exim, &known, submit));
  if (config_.journal.postfix) {
    journals.push_back(FollowJournal("postfix", new_postfix, &known, submit));
  }
  // The last hour, and the arrivals of queued messages, may be in the rotated file.
  const auto follow = [&](const std::vector<std::string>& patterns, LogSet::NewReader new_reader) {
    return LogSet::Start({.patterns = patterns, .follower = {.read_rotated_first = true}}, known,
                         std::move(new_reader), &clock_, submit);
  };
  std::vector<std::unique_ptr<LogSet>> logs;
  logs.push_back(follow(exim_logs, new_exim));
  logs.push_back(follow(postfix_logs, new_postfix));
  if (queue_keeper_ != nullptr) queue_keeper_->Start(committer_.remembered());
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

namespace {

// The stamp of a log's last line and the time at which it was written are one moment by two clocks.
std::optional<absl::Duration> StampsOff(const FollowerStatus& source) {
  struct stat info;
  if (!source.at_end || source.lag > absl::Minutes(1) ||
      source.last_stamp == absl::InfinitePast() || stat(source.path.c_str(), &info) != 0) {
    return std::nullopt;
  }
  return source.last_stamp - absl::TimeFromTimespec(info.st_mtim);
}

}  // namespace

std::vector<BlindAlarm> RunningDaemon::LookForBlindness() const {
  BlindFacts facts = {.logs = {},
                      .charge = charge_tally_.numbers(),
                      .asked = totals_.asked(),
                      .hook = {!config_.hook_exim.empty(), !config_.hook_postfix.empty()}};
  {
    MutexLock lock(&logs_mutex_);
    for (const std::unique_ptr<Follower>& journal : journals_) {
      const FollowerStatus status = journal->status();
      const Mta mta = status.path == "journal:exim" ? Mta::kExim : Mta::kPostfix;
      facts.logs.push_back({status.path, mta, status.read, std::nullopt});
    }
    for (size_t i = 0; i < logs_.size(); ++i) {
      for (const FollowerStatus& status : logs_[i]->status()) {
        facts.logs.push_back(
            {status.path, i == 0 ? Mta::kExim : Mta::kPostfix, status.read, StampsOff(status)});
      }
    }
  }
  MutexLock lock(&blind_mutex_);
  return blind_watch_.Look(facts, clock_.Now());
}

void RunningDaemon::ReportBlindness() {
  const absl::Duration now = clock_.Elapsed();
  if (now - blind_looked_ < kLookForBlindnessEvery) return;
  blind_looked_ = now;
  std::vector<BlindAlarm> alarms = LookForBlindness();
  const auto has = [](const std::vector<BlindAlarm>& list, const BlindAlarm& one) {
    return std::any_of(list.begin(), list.end(),
                       [&](const BlindAlarm& other) { return other.kind == one.kind; });
  };
  for (const BlindAlarm& one : alarms) {
    if (!has(reported_blind_, one)) spdlog::warn("blind: {}; {}", one.what, one.remedy);
  }
  for (const BlindAlarm& one : reported_blind_) {
    if (!has(alarms, one)) spdlog::info("no longer blind ({})", BlindKindName(one.kind));
  }
  reported_blind_ = std::move(alarms);
}

bool RunningDaemon::LookAtFreshness(size_t pending) {
  {
    // While log followers start or stop, their ends are not known.
    MutexLock lock(&logs_mutex_);
    if (logs_.empty()) return false;
  }
  ReportBlindness();
  const std::vector<FollowerStatus> sources = Sources();
  if (clock_.Elapsed() - notices_looked_ >= kLookForBlindnessEvery) {
    notices_looked_ = clock_.Elapsed();
    WatchTroubles(sources);
  }
  std::vector<std::string> causes =
      sharing_ == nullptr ? std::vector<std::string>() : sharing_->Causes();
  const absl::Time now = clock_.Now();
  const Limiter::ClockBack back = limiter_.stats().clock_back;
  if (now - back.at < LongestWindow()) {
    causes.push_back(absl::StrCat("the clock and the log were ",
                                  deferd::FormatDuration(absl::Trunc(back.by, absl::Minutes(1))),
                                  " ahead until ", FormatUtc(back.at),
                                  ": data with such time stamps was discarded"));
    if (std::exchange(reported_clock_back_, back.at) != back.at) spdlog::warn("{}", causes.back());
  }
  return freshness_watch_.Look(sources, pending == 0, committer_.status().problem, LongestWindow(),
                               now, std::move(causes));
}

}  // namespace deferd
