// Advances the limiter's time: ends due cases and incidents, and forgets what is no longer live.
//
// It also recovers after a clock that ran ahead, together with the log's stamps, was set back.
// Until then the greatest accepted stamp lies in the future, every new attempt is `late`, and
// blocks and clearings would last until the clock reaches their stamps. A step back of up to
// kPatience needs no action: new stamps are still within the window. After a larger one, whatever
// has a future stamp is forgotten and cases with a future start begin now. Counting starts again
// from zero, which Stats::clock_back reports.
//
// Has no state and no lock of its own: it works on the limiter's parts, so the caller must hold the
// limiter's lock.

#ifndef DEFERD_LIMITER_TIME_KEEPER_H_
#define DEFERD_LIMITER_TIME_KEEPER_H_

#include "absl/time/time.h"
#include "limiter/case_handler.h"
#include "limiter/parts.h"

namespace deferd {

class TimeKeeper {
 public:
  TimeKeeper(LimiterParts* parts, CaseHandler* cases) : parts_(parts), cases_(cases) {}

  // Moves the time to a stamp of the log, never back, and ends the cases and incidents due by then.
  void AdvanceTo(absl::Time t);
  void EndDue(absl::Time t);

  // Forgets what is no longer live, and what other parts keep of subjects no longer counted.
  void Forget();
  void ForgetWhatIsGone();

  // Recovers if the clock was set back by more than kPatience.
  void RecoverIfClockSetBack();

 private:
  void EndIncidentsDue(absl::Time t);
  void ComeBackTo(absl::Time now);

  LimiterParts* const parts_;
  CaseHandler* const cases_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_TIME_KEEPER_H_
