// What the outside may see of the limiter: metrics, notices and replay's tally hang on here.
//
// Called on the recorder's thread (person's actions: on the admin door's) with the limiter's lock
// held: be quick, do not call back. The defaults ignore everything.

#ifndef DEFERD_LIMITER_OBSERVER_H_
#define DEFERD_LIMITER_OBSERVER_H_

#include "limiter/case.h"
#include "limiter/window.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/left_out.h"
#include "policy/subject.h"

namespace deferd {

class Observer {
 public:
  virtual ~Observer() = default;

  // Lines of one batch, before its attempts.
  virtual void OnLines(const LineCounts& counts) { (void)counts; }

  // Every attempt, with who was charged and whether it counts.
  virtual void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out) {
    (void)attempt, (void)charged, (void)left_out;
  }

  // A contribution to the first rule's window: delta +1 added, -1 taken out again.
  virtual void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) {
    (void)subject, (void)outcome, (void)delta;
  }

  virtual void OnCase(CaseChange change, const Case& record) { (void)change, (void)record; }
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_OBSERVER_H_
