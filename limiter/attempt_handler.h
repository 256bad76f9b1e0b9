// The way of one attempt through the limiter: charged, classified, counted once, judged.
//
// Works on the limiter's parts, under its lock.

#ifndef DEFERD_LIMITER_ATTEMPT_WORK_H_
#define DEFERD_LIMITER_ATTEMPT_WORK_H_

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
  // A recipient refused at RCPT time. False: to nobody of ours, or not because of the recipient.
  bool RecordRejected(const Attempt& attempt);
  // A message was accepted: it arrived, or a mail server asked about it.
  void RecordAccepted(const Attempt& attempt, bool arrived);
  void RecordIdentified(const Attempt& attempt);
  // Another recipient of a message whose arrival did not say how many it has.
  void CountRecipient(const Attempt& attempt, const ChargedSubjects& charged,
                      MessageRecord* message);
  // `rejected`: it was proposed as a rejected recipient, and is a plain rejection.
  void RecordMessage(const LogEvent& event, bool rejected);
  void SpareHost(ChargedSubjects* charged) const;
  // What the answer of a bad attempt means; a bare expiry means what the recipient's last deferral
  // did. `recipient` may be null.
  Classification AnswerOf(const Attempt& attempt, const RecipientRecord* recipient) const;
  // kCounts, or why the policy leaves it out.
  LeftOut WhyAnswerLeftOut(const Classification& answer, const Attempt& attempt) const;
  void Contribute(const Attempt& attempt, const ChargedSubjects& charged,
                  const Classification* answer, MessageRecord* message, RecipientRecord* record);
  // Counts it among what is shown and left out.
  void ShowLeftOut(const Attempt& attempt, const ChargedSubjects& charged, ReplyClass reply_class,
                   RecipientRecord* record);

  LimiterParts* const parts_;
  Accounts* const accounts_;
  CaseHandler* const cases_;
  IncidentHandler* const incidents_;
  TimeKeeper* const time_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ATTEMPT_WORK_H_
