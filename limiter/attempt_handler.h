// Takes one attempt through the limiter: charge, classify, count once, judge.
//
// Has no state and no lock of its own: it works on the limiter's parts, so the caller must hold the
// limiter's lock. Limiter::Record is the only caller.

#ifndef DEFERD_LIMITER_ATTEMPT_HANDLER_H_
#define DEFERD_LIMITER_ATTEMPT_HANDLER_H_

#include "limiter/accounts.h"
#include "limiter/case_handler.h"
#include "limiter/counting/message_record.h"
#include "limiter/incident_handler.h"
#include "limiter/parts.h"
#include "limiter/time_keeper.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/left_out.h"
#include "policy/reply/classify.h"

namespace deferd {

class AttemptHandler {
 public:
  AttemptHandler(LimiterParts* parts, Accounts* accounts, CaseHandler* cases,
                 IncidentHandler* incidents, TimeKeeper* time)
      : parts_(parts), accounts_(accounts), cases_(cases), incidents_(incidents), time_(time) {}

  void Record(const EventBatch& batch);

 private:
  void RecordAttempt(const Attempt& attempt);
  // A recipient refused at RCPT time. False if no subject here is charged, or if the recipient was
  // not the reason.
  bool RecordRejected(const Attempt& attempt);
  // A message was accepted: its arrival was logged, or a mail server queried deferd about it.
  void RecordAccepted(const Attempt& attempt, bool arrived);
  void RecordIdentified(const Attempt& attempt);
  // Counts one more recipient of a message whose arrival line had no recipient count.
  void CountRecipient(const Attempt& attempt, const ChargedSubjects& charged,
                      MessageRecord* message);
  // `rejected`: it was proposed as a rejected recipient, and is a plain rejection.
  void RecordMessage(const LogEvent& event, bool rejected);
  void SpareHost(ChargedSubjects* charged) const;
  // Classifies the reply of a bad attempt. An expiry without a reply gets the class of the
  // recipient's last deferral. `recipient` may be null.
  Classification AnswerOf(const Attempt& attempt, const RecipientRecord* recipient) const;
  // kCounts, or why the policy leaves it out.
  LeftOut WhyAnswerLeftOut(const Classification& answer, const Attempt& attempt) const;
  void Contribute(const Attempt& attempt, const ChargedSubjects& charged,
                  const Classification* answer, MessageRecord* message, RecipientRecord* record);
  // Counts the attempt among the left-out ones, which are shown to people.
  void ShowLeftOut(const Attempt& attempt, const ChargedSubjects& charged, ReplyClass reply_class,
                   RecipientRecord* record);

  LimiterParts* const parts_;
  Accounts* const accounts_;
  CaseHandler* const cases_;
  IncidentHandler* const incidents_;
  TimeKeeper* const time_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ATTEMPT_HANDLER_H_
