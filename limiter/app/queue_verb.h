// The verb `queue`, in the daemon: what is in the MTA's queue, and whose it is.
//
// Arguments: {"do": ...} and, to choose among the messages, "subject" (charged), "sender",
// "mail_subject" (part of the Subject: line), "since" (arrived then or later), "held" (true: only
// those), "id":
//   list [by]         an array of messages; with "by" (subject, script, login, to) of groups, the
//                     most messages first: {"name", "messages", "held"}
//   release [dry_run] lets go of what is held of the chosen, whatever the case says; the messages
//   requeue, flush    the message "id", or all, are tried at once
//   recorded          writes down "what" root had done to "messages": discarded, redirected

#ifndef DEFERD_LIMITER_APP_QUEUE_VERB_H_
#define DEFERD_LIMITER_APP_QUEUE_VERB_H_

#include <string>

#include "absl/status/statusor.h"
#include "limiter/admin/json.h"
#include "limiter/app/mail_queue.h"
#include "limiter/held_mail.h"

namespace deferd {

// `person` is who asks. Errors are for people.
absl::StatusOr<Json> QueueVerb(const MailQueue& queue, HeldMail* held, const Json& args,
                               const std::string& person);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_QUEUE_VERB_H_
