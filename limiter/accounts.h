// Puts contributions to the accounts of those who are charged, and takes them out again.
//
// Works on the limiter's parts, under its lock.

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
  void TakeOut(const ChargedSubjects& charged, absl::Time dated, const Contribution& one);
  // Messages accepted, or recipients of these. They are no outcome of a delivery, so no observer is
  // told of them.
  void AddSent(const ChargedSubjects& charged, absl::Time dated, int64_t messages,
               int64_t recipients);
  // What is shown and does not count.
  void AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                  ReplyClass reply_class);

  void MakeRoom();

 private:
  void LearnPart(const ChargedSubjects& charged);
  void RoomFor(const ChargedSubjects& charged);

  LimiterParts* const parts_;
  TimeKeeper* const time_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ACCOUNTS_H_
