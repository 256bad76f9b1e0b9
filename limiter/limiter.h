// The decision: attempts in, cases out.
//
// Charges every attempt, counts it in its subjects' windows, judges all rules after each attempt
// that adds a bad contribution (in log order, at the greatest stamp accepted so far), and opens,
// extends and ends cases in the case table. It knows no file, socket or thread of its own: the
// daemon's recorder and `deferctl replay` drive the same object, so both come to the same result,
// whatever the batches. Time is that of the log; the clock only bounds what is accepted (an attempt
// more than kMaxAhead after it is `future`), ends cases while the log is quiet, and drives what is
// shown.
//
// Every public method takes the one lock, for at most a batch. Safe from any thread. In the daemon
// only the committer calls the methods that return or fill Events: it stores and reports them.
//
// The work is done by classes beside this one, one for each kind of work (attempt_handler.h,
// case_handler.h ...). This class owns the lock around them and decides who calls whom.

#ifndef DEFERD_LIMITER_LIMITER_H_
#define DEFERD_LIMITER_LIMITER_H_

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/accounts.h"
#include "limiter/attempt_handler.h"
#include "limiter/case_handler.h"
#include "limiter/events.h"
#include "limiter/incident_handler.h"
#include "limiter/node_exchange.h"
#include "limiter/parts.h"
#include "limiter/persistence.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/report.h"
#include "limiter/time_keeper.h"
#include "policy/attempt.h"
#include "policy/settings.h"
#include "policy/subject.h"

namespace deferd {

class Limiter {
 public:
  static constexpr absl::Duration kMaxAhead = LimiterParts::kMaxAhead;
  static constexpr absl::Duration kPatience = LimiterParts::kPatience;
  using ClockBack = deferd::ClockBack;

  // `clock` and `cases` must outlive it.
  Limiter(const LimiterOptions& options, Settings settings, const Clock* clock, CaseTable* cases);
  ~Limiter();

  // The batch must outlive the Events, which the caller passes to the observers.
  [[nodiscard]] Events Record(const EventBatch& batch);

  // Ends the cases whose time was over `slack` ago by the clock. Call it at intervals, and only
  // while the logs are read to their end: attempts that precede a case's end must be counted first.
  [[nodiscard]] Events Tick(absl::Duration slack = absl::ZeroDuration());

  // Takes a new policy and lists for what comes. Windows of lengths that the old policy had keep
  // their counts. Open cases stay until they end, except those that the new policy would not
  // enforce: its mode or their rule is in shadow now, their rule was removed, or the subject is
  // exempt or no longer hosted.
  [[nodiscard]] Events SetSettings(Settings settings);
  Settings settings() const;

  // A person's decisions. `by` is who; both are recorded. A block of a subject that a rule blocked
  // takes that case's place, and ends no earlier.
  Case Block(const Subject& subject, absl::Duration duration, const std::string& by,
             const std::string& reason, Events* events);
  // Ends every open case of the subject; only attempts of later steps count from now on. `held`:
  // the person's order for the mail that is held for it. NotFound if no case is open, or the one
  // that blocks the subject is not `only_case` (its id; empty: any).
  absl::StatusOr<Case> Unblock(const Subject& subject, const std::string& by,
                               const std::string& reason, HeldOrder held, Events* events,
                               absl::string_view only_case = "");

  // No rule blocks the subject until the exemption ends, and open cases of rules end; it is counted
  // as before. NotFound if there is no exemption to end.
  Case Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
              const std::string& reason, Events* events);
  absl::StatusOr<Case> EndExemption(const Subject& subject, const std::string& by,
                                    const std::string& reason, Events* events);

  // What people are shown (report.h).
  std::vector<SubjectCounts> Top(size_t limit) const;
  SubjectReport Report(const Subject& subject) const;
  // Open incidents, then those that ended lately.
  std::vector<Incident> ShownIncidents() const;

  struct Stats {
    size_t subjects = 0;
    size_t messages = 0;                    // open ones with a contribution
    int64_t evicted = 0;                    // messages forgotten because too many were open
    absl::Time now = absl::InfinitePast();  // the greatest stamp accepted
    int64_t evicted_subjects = 0;           // forgotten because there were too many
    int64_t evicted_places = 0;             // likewise: servers that fail, senders delivered lately
    ClockBack clock_back;
  };
  Stats stats() const;

  // For other nodes, and for a store. Both take the lock themselves.
  NodeExchange& nodes() { return nodes_; }
  const NodeExchange& nodes() const { return nodes_; }
  Persistence& stored() { return stored_; }

 private:
  mutable Mutex mutex_;
  LimiterParts parts_ ABSL_GUARDED_BY(mutex_);
  // Each one calls only those before it.
  CaseHandler cases_ ABSL_GUARDED_BY(mutex_);
  TimeKeeper time_ ABSL_GUARDED_BY(mutex_);
  Accounts accounts_ ABSL_GUARDED_BY(mutex_);
  IncidentHandler incidents_ ABSL_GUARDED_BY(mutex_);
  AttemptHandler attempts_ ABSL_GUARDED_BY(mutex_);
  // These guard themselves, with mutex_.
  NodeExchange nodes_;
  Persistence stored_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_LIMITER_H_
