// Adds contributions to the windows of the subjects that an attempt is charged to, and removes
// them.
//
// Has no state and no lock of its own: it works on the limiter's parts, so the caller must hold the
// limiter's lock. Advance the time to the attempt's stamp (TimeKeeper::AdvanceTo) before Add.

#ifndef DEFERD_LIMITER_ACCOUNTS_H_
#define DEFERD_LIMITER_ACCOUNTS_H_

#include "absl/time/time.h"
#include "limiter/counting/window.h"
#include "limiter/parts.h"
#include "limiter/time_keeper.h"
#include "policy/charge.h"
#include "policy/reply/reply_class.h"

namespace deferd {

class Accounts {
 public:
  Accounts(LimiterParts* parts, TimeKeeper* time) : parts_(parts), time_(time) {}

  void Add(const ChargedSubjects& charged, absl::Time dated, const Contribution& one);
  // Undoes an Add with the same arguments.
  void TakeOut(const ChargedSubjects& charged, absl::Time dated, const Contribution& one);
  // Adds accepted messages, or their recipients. They are not outcomes of a delivery, so observers
  // are not notified.
  void AddSent(const ChargedSubjects& charged, absl::Time dated, int64_t messages,
               int64_t recipients);
  // Adds an outcome that is shown to people and does not count.
  void AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                  ReplyClass reply_class);

  // Evicts subjects when there are too many (counter.h).
  void MakeRoom();

 private:
  void LearnPart(const ChargedSubjects& charged);
  void RoomFor(const ChargedSubjects& charged);

  LimiterParts* const parts_;
  TimeKeeper* const time_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ACCOUNTS_H_
