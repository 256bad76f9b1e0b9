// The verb `queue`, in the daemon: what is in the MTA's queue, and whose it is.
//
// Arguments: {"do": ...} and, to choose among the messages, "subject" (charged), "sender",
// "mail_subject" (part of the Subject: line), "since" (arrived then or later), "held" (true: only
// those), "id":
//   list [by]         an array of messages; with "by" (subject, script, login, to) of groups, the
//                     most messages first: {"name", "messages", "held"}
//   release [dry_run] lets go of what deferd holds of the chosen, whatever the case says: the
//                     messages. Those that the mail server has not let go of carry "not_done": why;
//                     they are tried again. Of a "subject" or an "id" alone
//   requeue, flush    the message "id", or all, are tried at once
//   recorded          writes down "what" root had done to "messages": discarded, redirected

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
  // Has it done what was let go of: those of the ids that were not, and why.
  std::function<std::map<std::string, std::string>(const std::vector<std::string>& ids)> let_go;
};

// What deferd holds for the subject's case: {"messages", "sample": the first of them}; {"problem"}
// if the queue cannot be seen.
Json HeldForSubject(const QueueVerbParts& parts, const Subject& subject);

// `person` is who asks. Errors are for people.
absl::StatusOr<Json> QueueVerb(const QueueVerbParts& parts, const Json& args,
                               const std::string& person);

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_QUEUE_VERB_H_
