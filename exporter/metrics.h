// All metrics of deferd, pulled.
//
// The daemon's threads add to plain counters here (as the limiter's observer, and from the hook);
// a scrape turns one snapshot of them, together with what the app reads off at that moment
// (Gauges), into the Prometheus text format. Names, types and help texts stand in one table in
// metrics.cc, from which the manual's table is made. No label has more values than the code has
// words, but for `rule` (rule_tally.h) and `subject`, which is switched on by [http]
// subject_series; both are bounded.
//
// Safe from any thread.

#ifndef DEFERD_EXPORTER_METRICS_H_
#define DEFERD_EXPORTER_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/rule_tally.h"
#include "limiter/events.h"
#include "limiter/port/mutex.h"
#include "policy/counts.h"
#include "policy/policy.h"

namespace deferd {

// Metrics of `[shared]`.
struct SharedGauges {
  bool up = false;
  double silent_seconds = 0;
  double offset_seconds = 0;
  int64_t nodes = 0;
  size_t waiting_subjects = 0;
  size_t waiting_cases = 0;
  int64_t rows_put = 0;
  int64_t cases_won = 0;
  int64_t cases_lost = 0;
  int64_t unreadable = 0;
  std::vector<std::pair<std::string, int64_t>> troubles;  // name, number of times
};

// Values read at scrape time.
struct Gauges {
  struct SourceGauge {
    std::string path;  // one series per followed log
    double lag_seconds = 0;
    int64_t gaps = 0;
    int64_t bytes = 0;
    bool readable = false;
  };
  std::vector<SourceGauge> sources;
  size_t open_messages = 0;
  int64_t held_messages = 0;
  int64_t overdue_messages = 0;
  int64_t failed_queue_orders = 0;
  int64_t evicted_messages = 0;
  int64_t evicted_subjects = 0;
  int64_t evicted_places = 0;
  size_t subjects = 0;
  size_t open_cases = 0;
  size_t shadow_cases = 0;
  size_t exemptions = 0;                                  // by a person
  std::array<int64_t, kReplyScopes> open_incidents = {};  // by ReplyScope
  size_t queued_batches = 0;
  int64_t commits = 0;
  int64_t failed_commits = 0;
  int64_t ledger_rows = 0;
  int64_t ledger_lost_rows = 0;
  int64_t ledger_dropped_segments = 0;
  int64_t store_bytes = 0;
  std::optional<int64_t> store_available_bytes;  // in its file system; nullopt: not known
  std::optional<SharedGauges> shared;            // nullopt: one machine
  struct NoticeGauges {
    int64_t pending = 0;
    int64_t dead = 0;
    int64_t delivered = 0;  // since the start, as are the next two
    int64_t failed = 0;
    int64_t lost = 0;
    absl::Duration oldest = absl::ZeroDuration();  // how long the oldest pending one has waited
  };
  std::optional<NoticeGauges> notices;  // nullopt: nobody is notified
  bool unchecked = false;
  std::array<int64_t, 4> blind = {};  // alarms: log, charge, hook, smart_host
  // In the last hour, by MTA and source: accepted messages, and questions about them.
  struct HookEvidence {
    std::string source;
    int64_t accepted = 0;
    int64_t asked = 0;
    int64_t accepted_total = 0;          // since the start, like the next field
    std::optional<int64_t> asked_total;  // nullopt: [hook] has no socket for this MTA
  };
  std::vector<HookEvidence> hook_evidence;
  // Since the start: attempts to other hosts that no rule could judge, by the reason why.
  std::vector<std::pair<std::string, int64_t>> uncharged;
  // Of [http] subject_series: live windows. `listed` are those that are blocked and the worst.
  struct SubjectGauge {
    std::string subject;
    Counts counts;
    bool blocked = false;
  };
  struct SubjectSeries {
    std::vector<SubjectGauge> listed;
    Counts other;       // of all the rest
    size_t others = 0;  // how many these are
  };
  std::optional<SubjectSeries> subject_series;  // none: switched off
  std::string policy_hash;
  absl::Time policy_loaded;
  bool policy_stale = false;  // the last reload failed; the old policy is in force
  int64_t policy_reloads = 0;
  int64_t policy_reload_failures = 0;
  int64_t hook_connections = 0;
  int64_t hook_refused = 0;
  int64_t hook_evicted = 0;
  absl::Time started;
  std::string version;
};

class Metrics : public Observer {
 public:
  Metrics() = default;

  void OnLines(const LineCounts& counts) override;
  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override;
  void OnCase(CaseChange change, const Case& record) override;
  void OnWarning(const Warning& warning) override;

  // Called on the hook's thread.
  void OnAnswer(Verdict verdict, bool unchecked, absl::Duration took);
  void OnMalformedQuestion();
  // What a rule in shadow would have answered, had it been enforced.
  void OnShadowVerdict(Verdict verdict, absl::string_view rule);
  // The rule that decided an answer other than pass; empty: a person did.
  void OnRuleVerdict(absl::string_view rule);

  // The text exposition format, version 0.0.4; `now` is used for ages.
  std::string Text(const Gauges& gauges, absl::Time now) const;

  // Name, type and help of every metric, as a Markdown table for the manual.
  static std::string MarkdownTable();

 private:
  // Upper bounds of the answer histogram in seconds; one more bucket for the rest.
  static constexpr std::array<double, 9> kBuckets = {1e-6, 2e-6, 5e-6, 1e-5, 5e-5,
                                                     1e-4, 1e-3, 1e-2, 1e-1};

  std::array<std::atomic<int64_t>, 4> lines_{};     // attempt, not_mine, rejected, malformed
  std::array<std::atomic<int64_t>, 3> attempts_{};  // delivered, deferred, failed
  std::atomic<int64_t> rejected_recipients_{0};
  std::array<std::atomic<int64_t>, kLeftOutReasons> left_out_{};
  std::array<std::atomic<int64_t>, kReplyClasses> classes_{};
  std::array<std::atomic<int64_t>, kCaseChanges> case_changes_{};
  std::array<std::atomic<int64_t>, 4> answers_{};          // by Verdict
  std::array<std::atomic<int64_t>, 4> shadow_verdicts_{};  // likewise
  RuleTally rules_;
  std::array<std::atomic<int64_t>, 2> exemption_changes_{};  // began, ended
  std::array<std::atomic<int64_t>, 2> warnings_{};           // enforce, shadow
  std::atomic<int64_t> unchecked_{0};
  std::atomic<int64_t> malformed_questions_{0};
  std::array<std::atomic<int64_t>, kBuckets.size() + 1> answer_buckets_{};
  std::atomic<int64_t> answer_nanos_{0};
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_METRICS_H_
