// The verb `queue`, in the daemon: what is in the MTA's queue, and whose it is.
//
// Arguments: {"do": ...} and, to choose among the messages, "subject" (charged), "sender",
// "mail_subject" (part of the Subject: line), "since" (arrived then or later), "held" (true: only
// those), "id":
//   list [by]         an array of messages; with "by" (subject, script, login, to) of groups, the
//                     most messages first: {"name", "messages", "held"}
//   release [dry_run] lets go of what deferd holds of the chosen, whatever the case says: the
//                     messages, which go within moments. Of a "subject" or an "id" alone
//   requeue, flush    the message "id", or all, are tried at once
//   recorded          writes down "what" root had done to "messages": discarded, redirected

#ifndef DEFERD_LIMITER_APP_QUEUE_VERB_H_
#define DEFERD_LIMITER_APP_QUEUE_VERB_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "limiter/admin/json.h"
#include "limiter/app/mail_queue.h"
#include "limiter/case_table.h"
#include "limiter/held_mail.h"

namespace deferd {

struct QueueVerbParts {
  const MailQueue* queue = nullptr;
  const CaseTable* cases = nullptr;
  HeldMail* held = nullptr;
  std::function<void()> wake;  // somebody looks after what was let go
};

// `person` is who asks. Errors are for people.
absl::StatusOr<Json> QueueVerb(const QueueVerbParts& parts, const Json& args,
                               const std::string& person);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_QUEUE_VERB_H_
