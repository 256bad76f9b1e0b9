// Moves the limiter on with time.
//
// It also goes on after a clock that was ahead, with the log's stamps, was set right. Then the
// greatest stamp accepted so far lies ahead, all that comes is `late`, and blocks and clearings
// would last until the right time reaches theirs. Steps back of up to kPatience are sat out, since
// they do no harm: stamps of now are within the window still. After a greater one, what bears a
// stamp that has not come yet is forgotten, and cases that began ahead begin now. Counts begin anew
// with it, which Stats::clock_back tells.
//
// Works on the limiter's parts, under its lock.

#ifndef DEFERD_LIMITER_TIME_KEEPER_H_
#define DEFERD_LIMITER_TIME_KEEPER_H_

#include "absl/time/time.h"
#include "limiter/case_handler.h"
#include "limiter/parts.h"

namespace deferd {

class TimeKeeper {
 public:
  TimeKeeper(LimiterParts* parts, CaseHandler* cases) : parts_(parts), cases_(cases) {}

  // A stamp of the log: cases and incidents that are due by then end.
  void AdvanceTo(absl::Time t);
  void EndDue(absl::Time t);

  // Forgets what is dead, and what the other parts know of subjects that are no longer counted.
  void Forget();
  void ForgetWhatIsGone();

  // Goes on if the clock was set back.
  void RecoverIfClockSetBack();

 private:
  void EndIncidentsDue(absl::Time t);
  void ComeBackTo(absl::Time now);

  LimiterParts* const parts_;
  CaseHandler* const cases_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_TIME_KEEPER_H_
