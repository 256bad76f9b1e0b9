// The limiter's parts in one place, for the classes that work on them (attempt_handler.h,
// case_handler.h ...).
//
// Every field is guarded by the limiter's lock (Limiter::mutex_), except `options`, `clock` and
// `case_table`, which never change. The parts have no lock and no other owner; the case table has a
// lock of its own, since MTA queries read it.

#ifndef DEFERD_LIMITER_PARTS_H_
#define DEFERD_LIMITER_PARTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/casebook.h"
#include "limiter/counting/accepted.h"
#include "limiter/counting/clearings.h"
#include "limiter/counting/contributions.h"
#include "limiter/counting/counter.h"
#include "limiter/events.h"
#include "limiter/judging/culprit.h"
#include "limiter/judging/incident_watch.h"
#include "limiter/judging/judge.h"
#include "limiter/judging/live_counts.h"
#include "limiter/judging/warnings.h"
#include "limiter/port/clock.h"
#include "limiter/sharing/case_exchange.h"
#include "limiter/sharing/row_check.h"
#include "limiter/sharing/row_exchange.h"
#include "policy/settings.h"
#include "policy/subject.h"

namespace deferd {

struct LimiterOptions {
  std::string node = "local";
  int64_t incarnation = 1;
  size_t max_messages = 2'000'000;  // open messages remembered for counting once
  // And their recipients.
  size_t max_recipients = 4'000'000;
  size_t max_subjects = 500'000;  // with counts; the emptiest go first (counting/counter.h)
  bool keep = false;    // remember what has changed, for CollectChanges: somebody stores it
  bool shared = false;  // count with other nodes: node_exchange.h; needs `keep`
};

// That the clock was ahead and was set back (time_keeper.h).
struct ClockBack {
  absl::Time at = absl::InfinitePast();  // never
  absl::Duration by;
};

struct LimiterParts {
  // An attempt stamped later than this after the clock is `future`.
  static constexpr absl::Duration kMaxAhead = absl::Minutes(5);
  // How much further the stamps accepted may be ahead of the clock (time_keeper.h).
  static constexpr absl::Duration kPatience = absl::Minutes(10);

  // `clock` and `case_table` must outlive it.
  LimiterParts(const LimiterOptions& options, Settings settings, const Clock* clock,
               CaseTable* case_table);
  ~LimiterParts();
  LimiterParts(const LimiterParts&) = delete;  // parts point at each other
  LimiterParts& operator=(const LimiterParts&) = delete;

  // The later of the clock and the log: pages show counts as of then.
  absl::Time ShownNow() const;

  // Remembers which subjects were part of which by the lists that `next` replaces.
  void KeepWithin(const ChargeLists& next);

  // Whether the subject's counts and cases are shared with other nodes.
  bool Shares(const Subject& subject) const;
  // The clock minus that of the store was measured.
  void SetClockOffset(absl::Duration offset, bool exact);
  // Sets `batch_clock`. Where nodes share, a clock that was set since the last call is noticed, so
  // that what is shared keeps its time until the next measurement.
  void ReadClock();
  // Its rows wait to be put, and the others' to be read.
  void ShareSubject(const Subject& subject);
  void ShareEverything();
  // After a commit, since only what the local store has committed is shared.
  void ShareSaved(const std::vector<Subject>& subjects, const std::vector<CaseEvent>& events,
                  bool saved);
  void Wake();  // the publisher
  // Cases closed before this time are no longer shared.
  absl::Time TooOld(absl::Time as_of) const;

  // The events since the last call. Call it before the lock is released.
  Events TakeEvents();

  const LimiterOptions options;
  const Clock* const clock;
  CaseTable* const case_table;

  Settings settings;
  Counter counter;
  Clearings clearings;
  Contributions contributions;
  Accepted accepted;
  Culprit culprit;
  IncidentWatch incidents;
  Casebook casebook;
  Refused refused;
  Warnings warnings;
  const std::unique_ptr<RowExchange> rows;           // null: one machine
  const std::unique_ptr<RowCheck> row_check;         // likewise
  const std::unique_ptr<CaseExchange> shared_cases;  // likewise
  // Views of the parts above; they keep nothing.
  LiveCounts counts;
  Judge judge;

  absl::Time now = absl::InfinitePast();  // the greatest stamp accepted
  absl::Time batch_clock;                 // the clock, read once per batch
  absl::Duration clock_lead;              // the clock minus Clock::Elapsed(), when it was read last
  absl::Time last_sweep = absl::InfinitePast();
  ClockBack clock_back;
  Events happened;
  std::vector<Contributed> contributed;  // scratch space, kept for its capacity
  std::function<void()> wake;
  bool wants_cases = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PARTS_H_
