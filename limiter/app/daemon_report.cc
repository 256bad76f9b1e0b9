#include "limiter/app/daemon_report.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/admin/value_json.h"
#include "limiter/app/running_daemon.h"
#include "policy/duration.h"
#include "policy/toml_reader.h"

namespace deferd {

Json SourcesJson(const std::vector<FollowerStatus>& sources) {
  Json list = Json::array();
  for (const FollowerStatus& source : sources) {
    list.push_back(
        {{"path", source.path},
         {"lag_seconds", absl::ToDoubleSeconds(source.lag)},
         {"gaps", source.gaps},
         {"last_gap", source.last_gap == absl::InfinitePast() ? Json(nullptr)
                                                              : Json(FormatUtc(source.last_gap))},
         {"last_stamp", source.last_stamp == absl::InfinitePast()
                            ? Json(nullptr)
                            : Json(FormatUtc(source.last_stamp))},
         {"at_end", source.at_end},
         {"problem", source.problem},
         {"bytes", source.bytes},
         {"open_messages", source.open_messages}});
  }
  return list;
}

Json StoreJson(const Config& config, const Committer::Status& kept,
               const LocalStore::Stats& store) {
  return {
      {"path", config.state_dir},
      {"bytes", store.bytes},
      {"problem", kept.problem},
      {"failing_since", kept.problem.empty() ? Json(nullptr) : Json(FormatUtc(kept.failing_since))},
      {"commits", kept.commits},
      {"ledger",
       {{"enabled", config.ledger.enabled},
        {"rows", store.ledger_rows},
        {"segments", store.segments},
        {"keep", deferd::FormatDuration(config.ledger.keep)},
        {"waiting_rows", kept.waiting_rows},
        {"lost_rows", kept.lost_rows}}}};
}

// Parts of a domain are in its counts already, so only those are named that are blocked by
// themselves. A subject that bears the name of the sum is part of it.
Gauges::SubjectSeries SubjectSeriesOf(const std::vector<SubjectCounts>& worst_first,
                                      const std::vector<Case>& open, int64_t worst) {
  constexpr absl::string_view kOther = "other";
  absl::flat_hash_set<Subject> blocked;
  for (const Case& record : open) {
    if (!record.shadow && !record.exempts()) blocked.insert(record.subject);
  }
  Gauges::SubjectSeries series;
  for (const SubjectCounts& one : worst_first) {
    const bool part = one.subject.kind == SubjectKind::kLogin ||
                      one.subject.kind == SubjectKind::kAccount ||
                      one.subject.kind == SubjectKind::kScript;
    const bool is_blocked = blocked.erase(one.subject) > 0;
    if (part && !is_blocked) continue;
    const std::string name = one.subject.ToString();
    if (name != kOther && (is_blocked || worst > 0)) {
      if (!is_blocked) --worst;
      series.listed.push_back({name, one.counts, is_blocked});
      continue;
    }
    series.other += one.counts;
    ++series.others;
  }
  for (const Subject& quiet : blocked) series.listed.push_back({quiet.ToString(), Counts(), true});
  return series;
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
  gauges.evicted_subjects = stats.evicted_subjects;
  gauges.evicted_places = stats.evicted_places;
  gauges.open_cases = cases_.CountOpen(/*shadow=*/false);
  gauges.exemptions = cases_.CountExemptions();
  gauges.shadow_cases = cases_.CountOpen(/*shadow=*/true);
  for (const Incident& incident : limiter_.ShownIncidents()) {
    if (incident.open()) ++gauges.open_incidents[static_cast<size_t>(incident.scope)];
  }
  gauges.queued_batches = recorder_->pending();
  gauges.unchecked = freshness_.unchecked();
  for (const BlindAlarm& alarm : LookForBlindness()) {
    ++gauges.blind[static_cast<size_t>(alarm.kind)];
  }
  {
    MutexLock lock(&blind_mutex_);
    for (Mta mta : {Mta::kExim, Mta::kPostfix}) {
      const bool has_hook = !(mta == Mta::kExim ? config_.hook_exim : config_.hook_postfix).empty();
      for (Source source : {Source::kSubmission, Source::kLocal, Source::kRelay}) {
        const HookEvidence& one =
            blind_watch_.evidence()[static_cast<size_t>(mta)][static_cast<size_t>(source)];
        gauges.hook_evidence.push_back(
            {.source = EvidenceName(mta, source),
             .accepted = one.accepted,
             .asked = one.asked,
             .accepted_total = one.accepted_total,
             .asked_total = has_hook ? std::optional(one.asked_total) : std::nullopt});
      }
    }
  }
  const ChargeTally::Numbers charge = charge_tally_.numbers();
  const std::pair<ChargeTally::Why, const char*> kUncharged[] = {
      {ChargeTally::Why::kUnseenArrival, "unseen_arrival"},
      {ChargeTally::Why::kHost, "untrusted_host"},
      {ChargeTally::Why::kOrder, "order"},
      {ChargeTally::Why::kNotHosted, "not_hosted"},
      {ChargeTally::Why::kUnknown, "unknown"}};
  for (const auto& [why, name] : kUncharged) {
    gauges.uncharged.emplace_back(name, charge.attempts[static_cast<size_t>(why)]);
  }
  if (config_.subject_series > 0) {
    gauges.subject_series = SubjectSeriesOf(limiter_.Top(0), cases_.Open(), config_.subject_series);
  }
  if (sharing_ != nullptr) gauges.shared = sharing_->ReadGauges();
  if (queue_keeper_ != nullptr) {
    const QueueKeeper::Numbers queue = queue_keeper_->numbers();
    gauges.held_messages = queue.held;
    gauges.overdue_messages = queue.overdue;
    gauges.failed_queue_orders = queue.failures;
  }
  if (hook_.server != nullptr) {
    gauges.hook_connections = hook_.server->stats().open;
    gauges.hook_refused = hook_.server->stats().refused;
    gauges.hook_evicted = hook_.server->stats().evicted;
  }
  const Committer::Status kept = committer_.status();
  gauges.commits = kept.commits;
  gauges.failed_commits = kept.failures;
  gauges.ledger_lost_rows = kept.lost_rows;
  const LocalStore::Stats store = store_->stats();
  gauges.ledger_rows = store.ledger_rows;
  gauges.ledger_dropped_segments = store.dropped_segments;
  gauges.store_bytes = store.bytes;
  std::error_code unknown;
  const std::filesystem::space_info room = std::filesystem::space(config_.state_dir, unknown);
  if (!unknown) gauges.store_available_bytes = static_cast<int64_t>(room.available);
  if (notice_maker_.listeners()) {
    const Outbox::Stats notices = outbox_.stats();
    gauges.notices = {.pending = notices.pending,
                      .dead = notices.dead,
                      .delivered = notices.delivered,
                      .failed = notices.failed,
                      .lost = notices.lost,
                      .oldest = std::max(absl::ZeroDuration(), clock_.Now() - notices.oldest)};
  }
  gauges.started = started_;
  gauges.version = kVersion;
  MutexLock lock(&policy_mutex_);
  gauges.policy_hash = policy_.policy->hash;
  gauges.policy_loaded = policy_loaded_;
  gauges.policy_stale = !policy_error_.empty();
  gauges.policy_reloads = reloads_;
  gauges.policy_reload_failures = reload_failures_;
  return gauges;
}

Json RunningDaemon::StatusJson() const {
  const Json blind = BlindJson(LookForBlindness());
  Json evidence;
  {
    MutexLock lock(&blind_mutex_);
    evidence = EvidenceJson(blind_watch_);
  }
  Json listening = Json::object();
  for (const auto& [name, address] : listening_) listening[name] = address;
  const Freshness::State freshness = freshness_.Get();
  const Json policy = PolicyInForce();
  Json api = nullptr;
  if (!config_.api_listen.empty()) {
    api = Json::object();
    api["problem"] = std::string(tokens_.problem().message());
  }
  const Limiter::Stats stats = limiter_.stats();
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
          {"store", StoreJson(config_, committer_.status(), store_->stats())},
          {"shared", sharing_ == nullptr ? Json(nullptr) : sharing_->StatusJson()},
          {"queue", queue_keeper_ == nullptr ? Json(nullptr) : queue_keeper_->StatusJson()},
          {"notices", NoticesJson()},
          {"api", std::move(api)},
          {"uptime", deferd::FormatDuration(absl::Seconds(1) + absl::Trunc(clock_.Now() - started_,
                                                                           absl::Seconds(1)))},
          {"lines", totals_.LinesJson()},
          {"charged", totals_.ChargedJson()},
          {"left_out", totals_.LeftOutJson()},
          {"questions", totals_.QuestionsJson()},
          {"blind", blind},
          {"asked_last_hour", evidence},
          {"hosted_list", !limiter_.settings().lists->hosted.empty()},
          {"subjects", stats.subjects},
          {"subjects_evicted", stats.evicted_subjects},
          {"messages_evicted", stats.evicted},
          {"places_evicted", stats.evicted_places},
          {"blocked", cases_.CountOpen(/*shadow=*/false)},
          {"exempt", cases_.CountExemptions()},
          {"shadow", cases_.CountOpen(/*shadow=*/true)},
          {"incidents", IncidentsJson(limiter_.ShownIncidents(), /*ended=*/false)},
          {"listening", listening}};
}

Json RunningDaemon::PolicyInForce() const {
  MutexLock lock(&policy_mutex_);
  return {{"path", policy_.policy->path},
          {"hash", policy_.policy->hash},
          {"loaded", FormatUtc(policy_loaded_)},
          {"mode", std::string(ModeName(policy_.policy->mode))},
          {"stale", !policy_error_.empty()},
          {"error", policy_error_},
          {"changes", changes_},
          {"toml", policy_.toml}};
}

std::string RunningDaemon::NotReady() const {
  const Freshness::State freshness = freshness_.Get();
  std::string missing;
  for (const std::string& cause : freshness.causes) {
    // Without Redis, deferd answers from its local data: unchecked, but ready.
    if (!absl::StartsWith(cause, "redis: ")) absl::StrAppend(&missing, cause, "\n");
  }
  for (const BlindAlarm& alarm : LookForBlindness()) {
    // Behind a smart host nothing more can be seen: not a fault.
    if (alarm.kind == BlindAlarm::Kind::kSmartHost) continue;
    absl::StrAppend(&missing, "blind: ", alarm.what, "\n");
  }
  return missing;
}

}  // namespace deferd
