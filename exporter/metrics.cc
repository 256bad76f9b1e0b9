#include "exporter/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "policy/text.h"

namespace deferd {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// The table of all metrics. `label` is empty for a metric with one series; two labels are separated
// by a comma.
struct Entry {
  std::string_view name;
  MetricType type;
  std::string_view label;
  std::string_view help;
};

constexpr Entry kTable[] = {
    {"deferd_log_lines_total", MetricType::Counter, "result",
     "Log lines read: attempt (at least one attempt), not_mine (another line of the MTA), rejected "
     "(refused at SMTP time), malformed (should be understood, but cannot be parsed)."},
    {"deferd_attempts_total", MetricType::Counter, "outcome",
     "Delivery attempts by outcome, including those left out; expired counts as failed."},
    {"deferd_bad_attempts_total", MetricType::Counter, "class",
     "Attempts that were deferred or failed, by the class of the remote server's answer (deferctl "
     "explain), including those left out."},
    {"deferd_rejected_recipients_total", MetricType::Counter, "",
     "Recipients that the mail server permanently refused at RCPT time to own senders because of "
     "the recipient; not attempts."},
    {"deferd_attempts_left_out_total", MetricType::Counter, "reason",
     "Attempts that do not count, by reason; part of deferd_attempts_total. unclear: the message "
     "may be somebody else's mail that a filter handed back."},
    {"deferd_uncharged_attempts_total", MetricType::Counter, "reason",
     "Attempts to other hosts that no rule can judge: unseen_arrival (the line that names the "
     "sender "
     "was not read), untrusted_host (from a host that [charge] does not trust: mail from outside, "
     "too), order ([charge] order leaves the sender out), not_hosted, unknown."},
    {"deferd_case_changes_total", MetricType::Counter, "change",
     "Changes of cases: opened, extended and ended by a rule or by time; blocked and unblocked by "
     "a person; adopted from another node."},
    {"deferd_cases_open", MetricType::Gauge, "mode",
     "Cases in state blocked: enforce (answered to MTAs), shadow (only shown)."},
    {"deferd_exemptions_open", MetricType::Gauge, "",
     "Exemptions by a person (deferctl exempt) that hold now."},
    {"deferd_exemption_changes_total", MetricType::Counter, "change",
     "Exemptions by a person that began and ended, on this node or another one."},
    {"deferd_warnings_total", MetricType::Counter, "mode",
     "Subjects that came near a rule's limits (warn_at), by mode of the rule (enforce, shadow)."},
    {"deferd_incidents_open", MetricType::Gauge, "scope",
     "Delivery problems that no sender caused and that are left out: ip and server (replies about "
     "this server), destination (fails for many senders at once)."},
    {"deferd_questions_total", MetricType::Counter, "verdict",
     "Questions of MTAs, by the verdict in the answer."},
    {"deferd_shadow_verdicts_total", MetricType::Counter, "verdict",
     "Questions by the verdict that a shadow rule would have answered if it were enforced."},
    {"deferd_rule_verdicts_total", MetricType::Counter, "rule,mode",
     "Questions that a rule answered with another verdict than pass (mode enforce), or would have "
     "answered if it were enforced (mode shadow). The first 50 rules that decide are named, the "
     "rest is rule=\"other\"; rule=\"(person)\" is a person's block."},
    {"deferd_questions_unchecked_total", MetricType::Counter, "",
     "Questions answered pass because deferd did not know enough."},
    {"deferd_questions_malformed_total", MetricType::Counter, "",
     "Questions that could not be parsed and were answered with an error."},
    {"deferd_question_duration_seconds", MetricType::Histogram, "",
     "Time from receiving a complete question to its answer."},
    {"deferd_source_lag_seconds", MetricType::Gauge, "path",
     "Time by which reading is behind the end of a followed log."},
    {"deferd_source_gaps_total", MetricType::Counter, "path",
     "Number of times that part of a followed log was lost before deferd read it."},
    {"deferd_source_read_bytes_total", MetricType::Counter, "path",
     "Bytes read from a followed log."},
    {"deferd_source_readable", MetricType::Gauge, "path",
     "1 if a followed log can be read, 0 if not."},
    {"deferd_open_messages", MetricType::Gauge, "",
     "Messages in the MTA's queue whose arrival deferd remembers."},
    {"deferd_held_messages", MetricType::Gauge, "",
     "Messages in the MTA's queue that are held for a block (deferctl queue --held)."},
    {"deferd_held_overdue_messages", MetricType::Gauge, "",
     "Messages held for longer than hold_max that wait for a person, because their sender is not "
     "on "
     "this server (a bounce would be backscatter) or the evidence of their case is not certain."},
    {"deferd_queue_orders_failed_total", MetricType::Counter, "",
     "Orders to hold, release or return a message that the MTA did not carry out."},
    {"deferd_evicted_messages_total", MetricType::Counter, "",
     "Messages forgotten before they left the queue, because too many were open; also originals of "
     "mail that a filter may hand back."},
    {"deferd_subjects", MetricType::Gauge, "", "Subjects with attempts in their window."},
    {"deferd_subject_window", MetricType::Gauge, "subject,outcome",
     "Only with [http] subject_series: what counts now (delivered, deferred, failed) of the "
     "subjects "
     "that are blocked and of those with the most bad deliveries; subject=\"other\" is the sum of "
     "all "
     "others."},
    {"deferd_subject_blocked", MetricType::Gauge, "subject",
     "Only with [http] subject_series: 1 for each subject that is blocked."},
    {"deferd_subjects_unlisted", MetricType::Gauge, "",
     "Only with [http] subject_series: how many subjects subject=\"other\" stands for."},
    {"deferd_evicted_subjects_total", MetricType::Counter, "",
     "Subjects whose counts were forgotten within their window, because there were too many "
     "subjects; those with the fewest attempts go first."},
    {"deferd_evicted_places_total", MetricType::Counter, "",
     "Failing servers, and senders, servers and domains of the last day's deliveries, that were "
     "forgotten because there were too many: incidents are detected later."},
    {"deferd_queued_batches", MetricType::Gauge, "",
     "Batches of log lines waiting for the recorder."},
    {"deferd_commits_total", MetricType::Counter, "result",
     "Commits of counts, positions and ledger to the local store: ok, failed."},
    {"deferd_store_bytes", MetricType::Gauge, "", "Size of the local store on disk."},
    {"deferd_store_available_bytes", MetricType::Gauge, "",
     "Space that deferd can still use in the store's file system."},
    {"deferd_notices", MetricType::Gauge, "state",
     "Notices by sink that are not delivered: `pending` ones are tried again, `dead` ones wait for "
     "`deferctl notice retry`."},
    {"deferd_notices_delivered_total", MetricType::Counter, "", "Notices that a sink accepted."},
    {"deferd_notices_failed_total", MetricType::Counter, "",
     "Attempts of notices that a sink did not accept; most are tried again."},
    {"deferd_notices_oldest_seconds", MetricType::Gauge, "",
     "How long the oldest pending notice has waited; 0: none is pending."},
    {"deferd_notices_lost_total", MetricType::Counter, "",
     "Notices that were not kept, because too many were waiting."},
    {"deferd_ledger_rows", MetricType::Gauge, "", "Searchable rows of the ledger."},
    {"deferd_ledger_lost_rows_total", MetricType::Counter, "",
     "Rows that were not written to the ledger, because the disk was full for too long."},
    {"deferd_ledger_dropped_segments_total", MetricType::Counter, "",
     "Segments of the ledger that were deleted because of age or size."},
    {"deferd_shared_up", MetricType::Gauge, "",
     "1 if this node shares its state through Redis, 0 while sharing fails."},
    {"deferd_shared_silent_seconds", MetricType::Gauge, "",
     "Time since Redis last answered a heartbeat; above 10 s, answers are unchecked."},
    {"deferd_shared_troubles_total", MetricType::Counter, "trouble",
     "Sharing failures by kind: gone (unreachable), slow, read-only, out-of-memory, loading, "
     "password, "
     "wrong-type, not-saving, no-master, claimed (another daemon has this name or log), "
     "tls, unexpected."},
    {"deferd_shared_nodes", MetricType::Gauge, "", "Nodes seen in the last 10 s."},
    {"deferd_shared_clock_offset_seconds", MetricType::Gauge, "",
     "Redis's clock minus this node's."},
    {"deferd_shared_waiting_subjects", MetricType::Gauge, "",
     "Subjects whose rows wait to be written to Redis."},
    {"deferd_shared_waiting_cases", MetricType::Gauge, "",
     "Cases that wait to be written to Redis."},
    {"deferd_shared_rows_put_total", MetricType::Counter, "", "Rows written to Redis."},
    {"deferd_shared_cases_put_total", MetricType::Counter, "result",
     "Cases written to Redis: won (this node's case was newer), lost (another node's was)."},
    {"deferd_shared_unreadable_total", MetricType::Counter, "",
     "Rows and cases of other nodes that were rejected: unknown format, damaged, or out of range."},
    {"deferd_unchecked", MetricType::Gauge, "",
     "1 while deferd does not know enough, so that every pass is unchecked."},
    {"deferd_blind", MetricType::Gauge, "kind",
     "Alarms of a deferd that runs but cannot do its job (deferctl doctor): log (not understood), "
     "charge (attempts are charged to nobody), hook (the MTA accepts mail without a question), "
     "smart_host (failures come back as bounce messages)."},
    {"deferd_accepted_messages_last_hour", MetricType::Gauge, "source",
     "Messages that the MTA accepted in the last hour, by MTA and source (exim_submission, "
     "postfix_relay, ...); mail from outside is part of relay."},
    {"deferd_questions_last_hour", MetricType::Gauge, "source",
     "Questions about messages in the last hour, by MTA and source. Far fewer than "
     "deferd_accepted_messages_last_hour of the same source: the MTA does not query deferd."},
    {"deferd_accepted_messages_total", MetricType::Counter, "source",
     "Messages that the MTA accepted, by MTA and source."},
    {"deferd_source_questions_total", MetricType::Counter, "source",
     "Questions about messages, by MTA and source, for each MTA that has a socket in [hook]; "
     "compare "
     "with deferd_accepted_messages_total."},
    {"deferd_policy_info", MetricType::Gauge, "hash",
     "Always 1; the label is the hash of the policy in force. Servers that share counts need the "
     "same policy."},
    {"deferd_policy_age_seconds", MetricType::Gauge, "", "Time since the policy was loaded."},
    {"deferd_policy_stale", MetricType::Gauge, "",
     "1 if the policy file or a list of [charge] is invalid and the previous one stays in force."},
    {"deferd_policy_reloads_total", MetricType::Counter, "result",
     "Reloads of the policy: ok, failed."},
    {"deferd_hook_connections", MetricType::Gauge, "", "Open connections of MTAs."},
    {"deferd_hook_connections_refused_total", MetricType::Counter, "",
     "Connections of MTAs that were refused because there were too many."},
    {"deferd_hook_connections_evicted_total", MetricType::Counter, "",
     "Idle connections of MTAs that were closed to make room for others."},
    {"deferd_start_time_seconds", MetricType::Gauge, "",
     "Start time of the daemon, in seconds since 1970 UTC."},
    {"deferd_build_info", MetricType::Gauge, "version",
     "Always 1; the label is the running version."},
};

// A metric's name, checked against the table at compile time.
class MetricName {
 public:
  consteval MetricName(const char* name) {  // NOLINT(google-explicit-constructor)
    while (kTable[index_].name != name) ++index_;
  }
  constexpr size_t index() const { return index_; }

 private:
  size_t index_ = 0;
};

std::string_view TypeName(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Gauge:
      return "gauge";
    case MetricType::Histogram:
      return "histogram";
    default:
      return "untyped";
  }
}

// All families of the table, without values.
class Page {
 public:
  Page() {
    families_.reserve(std::size(kTable));
    for (const Entry& entry : kTable) {
      families_.push_back(
          {std::string(entry.name), std::string(entry.help), entry.type, /*metric=*/{}});
    }
  }

  template <typename Number>
  requires std::is_arithmetic_v<Number>
  void Add(MetricName name, Number value, absl::string_view label_value = "",
           absl::string_view second_value = "") {
    ClientMetric& metric = AddSeries(name, label_value, second_value);
    if (families_[name.index()].type == MetricType::Counter) {
      metric.counter.value = static_cast<double>(value);
    } else {
      metric.gauge.value = static_cast<double>(value);
    }
  }
  void Add(MetricName name, const std::atomic<int64_t>& value, absl::string_view label_value = "") {
    Add(name, value.load(std::memory_order_relaxed), label_value);
  }
  void Add(MetricName name, ClientMetric::Histogram histogram) {
    AddSeries(name, "").histogram = std::move(histogram);
  }

  std::string ToText() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  ClientMetric& AddSeries(MetricName name, absl::string_view label_value,
                          absl::string_view second_value = "") {
    ClientMetric& metric = families_[name.index()].metric.emplace_back();
    const std::string_view label = kTable[name.index()].label;
    const size_t comma = label.find(',');
    if (!label.empty()) {
      metric.label.push_back({std::string(label.substr(0, comma)), std::string(label_value)});
    }
    if (comma != std::string_view::npos) {
      metric.label.push_back({std::string(label.substr(comma + 1)), std::string(second_value)});
    }
    return metric;
  }

  std::vector<MetricFamily> families_;
};

std::string LabelWord(absl::string_view words) {
  return absl::StrReplaceAll(words, {{" ", "_"}, {"-", "_"}});
}

// A label value for each path. Two equal series would make Prometheus reject the whole page.
std::vector<std::string> PathLabels(const std::vector<Gauges::SourceGauge>& sources) {
  std::vector<std::string> labels;
  for (const Gauges::SourceGauge& source : sources) {
    std::string label = PrintableUtf8(source.path);
    while (std::find(labels.begin(), labels.end(), label) != labels.end()) label += "'";
    labels.push_back(std::move(label));
  }
  return labels;
}

void Count(std::atomic<int64_t>* counter, int64_t by = 1) {
  counter->fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

void Metrics::OnLines(const LineCounts& counts) {
  Count(&lines_[0], counts.attempts);
  Count(&lines_[1], counts.not_mine);
  Count(&lines_[2], counts.rejected);
  Count(&lines_[3], counts.malformed);
}

void Metrics::OnAttempt(const Attempt& attempt, const ChargedSubjects& /*charged*/,
                        LeftOut left_out, const Classification* answer) {
  switch (attempt.outcome) {
    case Outcome::kDelivered:
      Count(&attempts_[0]);
      break;
    case Outcome::kDeferred:
      Count(&attempts_[1]);
      break;
    case Outcome::kFailed:
    case Outcome::kExpired:
      Count(&attempts_[2]);
      break;
    case Outcome::kRejectedRecipient:
      Count(&rejected_recipients_);
      return;
    default:
      return;  // shown to people, not counted
  }
  Count(&left_out_[static_cast<size_t>(left_out)]);
  if (answer != nullptr) Count(&classes_[static_cast<size_t>(answer->reply_class)]);
}

void Metrics::OnCase(CaseChange change, const Case& record) {
  if (record.exempts()) {
    Count(&exemption_changes_[record.state == CaseState::kClosed ? 1 : 0]);
    return;
  }
  Count(&case_changes_[static_cast<size_t>(change)]);
}

void Metrics::OnWarning(const Warning& warning) { Count(&warnings_[warning.shadow ? 1 : 0]); }

void Metrics::OnAnswer(Verdict verdict, bool unchecked, absl::Duration took) {
  Count(&answers_[static_cast<size_t>(verdict)]);
  if (unchecked) Count(&unchecked_);
  took = std::max(took, absl::ZeroDuration());
  const auto bucket =
      std::lower_bound(kBuckets.begin(), kBuckets.end(), absl::ToDoubleSeconds(took));
  Count(&answer_buckets_[static_cast<size_t>(bucket - kBuckets.begin())]);
  Count(&answer_nanos_, absl::ToInt64Nanoseconds(took));
}

void Metrics::OnMalformedQuestion() { Count(&malformed_questions_); }

void Metrics::OnShadowVerdict(Verdict verdict, absl::string_view rule) {
  Count(&shadow_verdicts_[static_cast<size_t>(verdict)]);
  rules_.Count(rule, /*shadow=*/true);
}

void Metrics::OnRuleVerdict(absl::string_view rule) { rules_.Count(rule, /*shadow=*/false); }

std::string Metrics::Text(const Gauges& gauges, absl::Time now) const {
  Page page;

  constexpr const char* kResults[] = {"attempt", "not_mine", "rejected", "malformed"};
  for (size_t i = 0; i < lines_.size(); ++i) {
    page.Add("deferd_log_lines_total", lines_[i], kResults[i]);
  }
  constexpr Outcome kCounted[] = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed};
  for (size_t i = 0; i < attempts_.size(); ++i) {
    page.Add("deferd_attempts_total", attempts_[i], OutcomeName(kCounted[i]));
  }
  page.Add("deferd_rejected_recipients_total", rejected_recipients_);
  for (size_t i = 0; i < left_out_.size(); ++i) {
    const auto reason = static_cast<LeftOut>(i);
    if (reason == LeftOut::kCounts) continue;
    page.Add("deferd_attempts_left_out_total", left_out_[i], LabelWord(LeftOutName(reason)));
  }
  for (const ReplyClassInfo& info : ReplyClassTable()) {
    page.Add("deferd_bad_attempts_total", classes_[static_cast<size_t>(info.id)], info.name);
  }

  for (const auto& [reason, attempts] : gauges.uncharged) {
    page.Add("deferd_uncharged_attempts_total", attempts, reason);
  }
  for (size_t i = 0; i < case_changes_.size(); ++i) {
    page.Add("deferd_case_changes_total", case_changes_[i],
             LabelWord(CaseChangeName(static_cast<CaseChange>(i))));
  }
  page.Add("deferd_cases_open", gauges.open_cases, "enforce");
  page.Add("deferd_cases_open", gauges.shadow_cases, "shadow");
  page.Add("deferd_exemptions_open", gauges.exemptions);
  page.Add("deferd_exemption_changes_total", exemption_changes_[0], "began");
  page.Add("deferd_exemption_changes_total", exemption_changes_[1], "ended");
  page.Add("deferd_warnings_total", warnings_[0], "enforce");
  page.Add("deferd_warnings_total", warnings_[1], "shadow");

  for (ReplyScope scope : {ReplyScope::kIp, ReplyScope::kServer, ReplyScope::kDestination}) {
    int64_t open = gauges.open_incidents[static_cast<size_t>(scope)];
    if (scope == ReplyScope::kDestination) {
      open += gauges.open_incidents[static_cast<size_t>(ReplyScope::kSenderDomain)];
    }
    page.Add("deferd_incidents_open", open, ReplyScopeName(scope));
  }

  for (size_t i = 0; i < answers_.size(); ++i) {
    page.Add("deferd_questions_total", answers_[i], VerdictName(static_cast<Verdict>(i)));
  }
  for (size_t i = 0; i < shadow_verdicts_.size(); ++i) {
    const auto verdict = static_cast<Verdict>(i);
    if (verdict == Verdict::kPass) continue;
    page.Add("deferd_shadow_verdicts_total", shadow_verdicts_[i], VerdictName(verdict));
  }
  for (const auto& [rule, verdicts] : rules_.all()) {
    page.Add("deferd_rule_verdicts_total", verdicts.enforced, rule, "enforce");
    page.Add("deferd_rule_verdicts_total", verdicts.shadow, rule, "shadow");
  }
  page.Add("deferd_questions_unchecked_total", unchecked_);
  page.Add("deferd_questions_malformed_total", malformed_questions_);
  ClientMetric::Histogram took;
  for (size_t i = 0; i < answer_buckets_.size(); ++i) {
    took.sample_count += answer_buckets_[i].load(std::memory_order_relaxed);
    // The serializer adds the bucket for +Inf.
    if (i < kBuckets.size()) took.bucket.push_back({took.sample_count, kBuckets[i]});
  }
  took.sample_sum = static_cast<double>(answer_nanos_.load(std::memory_order_relaxed)) / 1e9;
  page.Add("deferd_question_duration_seconds", std::move(took));

  const std::vector<std::string> paths = PathLabels(gauges.sources);
  for (size_t i = 0; i < paths.size(); ++i) {
    const Gauges::SourceGauge& source = gauges.sources[i];
    page.Add("deferd_source_lag_seconds", source.lag_seconds, paths[i]);
    page.Add("deferd_source_gaps_total", source.gaps, paths[i]);
    page.Add("deferd_source_read_bytes_total", source.bytes, paths[i]);
    page.Add("deferd_source_readable", source.readable, paths[i]);
  }
  page.Add("deferd_open_messages", gauges.open_messages);
  page.Add("deferd_held_messages", gauges.held_messages);
  page.Add("deferd_held_overdue_messages", gauges.overdue_messages);
  page.Add("deferd_queue_orders_failed_total", gauges.failed_queue_orders);
  page.Add("deferd_evicted_messages_total", gauges.evicted_messages);
  page.Add("deferd_subjects", gauges.subjects);
  if (gauges.subject_series.has_value()) {
    const Gauges::SubjectSeries& series = *gauges.subject_series;
    const auto add = [&](absl::string_view subject, const Counts& counts) {
      page.Add("deferd_subject_window", counts.delivered, subject, "delivered");
      page.Add("deferd_subject_window", counts.deferred, subject, "deferred");
      page.Add("deferd_subject_window", counts.failed, subject, "failed");
    };
    for (const Gauges::SubjectGauge& one : series.listed) {
      const std::string subject = PrintableUtf8(one.subject);
      add(subject, one.counts);
      if (one.blocked) page.Add("deferd_subject_blocked", 1, subject);
    }
    add("other", series.other);
    page.Add("deferd_subjects_unlisted", series.others);
  }
  page.Add("deferd_evicted_subjects_total", gauges.evicted_subjects);
  page.Add("deferd_evicted_places_total", gauges.evicted_places);
  page.Add("deferd_queued_batches", gauges.queued_batches);
  page.Add("deferd_commits_total", gauges.commits, "ok");
  page.Add("deferd_commits_total", gauges.failed_commits, "failed");
  page.Add("deferd_store_bytes", gauges.store_bytes);
  if (gauges.store_available_bytes.has_value()) {
    page.Add("deferd_store_available_bytes", *gauges.store_available_bytes);
  }
  if (gauges.notices.has_value()) {
    page.Add("deferd_notices", gauges.notices->pending, "pending");
    page.Add("deferd_notices", gauges.notices->dead, "dead");
    page.Add("deferd_notices_delivered_total", gauges.notices->delivered);
    page.Add("deferd_notices_failed_total", gauges.notices->failed);
    page.Add("deferd_notices_oldest_seconds", absl::ToDoubleSeconds(gauges.notices->oldest));
    page.Add("deferd_notices_lost_total", gauges.notices->lost);
  }
  page.Add("deferd_ledger_rows", gauges.ledger_rows);
  page.Add("deferd_ledger_lost_rows_total", gauges.ledger_lost_rows);
  page.Add("deferd_ledger_dropped_segments_total", gauges.ledger_dropped_segments);
  if (gauges.shared.has_value()) {
    const SharedGauges& shared = *gauges.shared;
    page.Add("deferd_shared_up", shared.up);
    page.Add("deferd_shared_silent_seconds", shared.silent_seconds);
    for (const auto& [trouble, times] : shared.troubles) {
      page.Add("deferd_shared_troubles_total", times, trouble);
    }
    page.Add("deferd_shared_nodes", shared.nodes);
    page.Add("deferd_shared_clock_offset_seconds", shared.offset_seconds);
    page.Add("deferd_shared_waiting_subjects", shared.waiting_subjects);
    page.Add("deferd_shared_waiting_cases", shared.waiting_cases);
    page.Add("deferd_shared_rows_put_total", shared.rows_put);
    page.Add("deferd_shared_cases_put_total", shared.cases_won, "won");
    page.Add("deferd_shared_cases_put_total", shared.cases_lost, "lost");
    page.Add("deferd_shared_unreadable_total", shared.unreadable);
  }
  page.Add("deferd_unchecked", gauges.unchecked);
  constexpr const char* kBlindKinds[] = {"log", "charge", "hook", "smart_host"};
  for (size_t i = 0; i < gauges.blind.size(); ++i) {
    page.Add("deferd_blind", gauges.blind[i], kBlindKinds[i]);
  }
  for (const Gauges::HookEvidence& one : gauges.hook_evidence) {
    page.Add("deferd_accepted_messages_last_hour", one.accepted, one.source);
    page.Add("deferd_questions_last_hour", one.asked, one.source);
    page.Add("deferd_accepted_messages_total", one.accepted_total, one.source);
    if (one.asked_total.has_value()) {
      page.Add("deferd_source_questions_total", *one.asked_total, one.source);
    }
  }

  page.Add("deferd_policy_info", 1, PrintableUtf8(gauges.policy_hash));
  page.Add("deferd_policy_age_seconds",
           std::max(0.0, absl::ToDoubleSeconds(now - gauges.policy_loaded)));
  page.Add("deferd_policy_stale", gauges.policy_stale);
  page.Add("deferd_policy_reloads_total", gauges.policy_reloads, "ok");
  page.Add("deferd_policy_reloads_total", gauges.policy_reload_failures, "failed");
  page.Add("deferd_hook_connections", gauges.hook_connections);
  page.Add("deferd_hook_connections_refused_total", gauges.hook_refused);
  page.Add("deferd_hook_connections_evicted_total", gauges.hook_evicted);
  page.Add("deferd_start_time_seconds", absl::ToDoubleSeconds(gauges.started - absl::UnixEpoch()));
  page.Add("deferd_build_info", 1, PrintableUtf8(gauges.version));
  return page.ToText();
}

std::string Metrics::MarkdownTable() {
  std::string table = "| metric | type | meaning |\n|---|---|---|\n";
  for (const Entry& entry : kTable) {
    absl::StrAppend(&table, "| `", ToAbsl(entry.name));
    if (!entry.label.empty()) absl::StrAppend(&table, "{", ToAbsl(entry.label), "}");
    absl::StrAppend(&table, "` | ", ToAbsl(TypeName(entry.type)), " | ", ToAbsl(entry.help),
                    " |\n");
  }
  return table;
}

}  // namespace deferd
