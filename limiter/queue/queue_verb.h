// The daemon's verb `queue`: the messages in the MTA's queue and their senders.
//
// Arguments: {"do": ...} and filters: "subject" (charged), "sender", "mail_subject" (part of the
// Subject: line), "since" (arrived then or later), "held" (true: held messages only), "id":
//   list [by]         an array of messages; with "by" (subject, script, login, to, reason), groups
//                     with the most messages first: {"name", "messages", "held"}; by age, the
//                     youngest first. A reason is the class of the newest answer, "held", "frozen",
//                     or empty
//   release [dry_run] releases the selected messages that deferd holds, whatever their
//                     case says, and returns them. Messages that the mail server has not
//                     released yet carry "not_done": why; deferd tries again. Needs "subject"
//                     or "id"
//   requeue, flush    delivers the message "id", or all messages, at once
//   discard           removes the message "id" and records it; deferd-queue must allow it
//   redirect          sends the message "id" to "address" instead; likewise
//   recorded          records "what" root did to "messages": discarded, redirected

#ifndef DEFERD_LIMITER_QUEUE_QUEUE_VERB_H_
#define DEFERD_LIMITER_QUEUE_QUEUE_VERB_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/held_mail.h"
#include "limiter/localrpc/json.h"
#include "limiter/queue/mail_queue.h"

namespace deferd {

struct QueueVerbParts {
  const MailQueue* queue = nullptr;
  const CaseTable* cases = nullptr;
  HeldMail* held = nullptr;
  // Carries out the release; returns the ids that were not released, and why.
  std::function<std::map<std::string, std::string>(const std::vector<std::string>& ids)> release;
};

// Messages that deferd holds for the subject's case: {"messages", "sample": the first of them};
// {"problem"} if the queue cannot be read.
Json HeldForSubject(const QueueVerbParts& parts, const Subject& subject);

// `person`: who sent the request. Errors are texts for people.
absl::StatusOr<Json> QueueVerb(const QueueVerbParts& parts, const Json& args,
                               const std::string& person);

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_QUEUE_VERB_H_
