// Reads the queue listings of MTAs, and converts a listing to and from the root helper's JSON.
//
// Input: Exim's -bp (specification, section 5.2) and Postfix's `postqueue -j` (postqueue(1)). Lines
// that cannot be parsed are skipped; nothing here fails.

#ifndef DEFERD_LIMITER_LOCALRPC_QUEUE_LIST_H_
#define DEFERD_LIMITER_LOCALRPC_QUEUE_LIST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queued_mail.h"

namespace deferd {

// Where deferd-queue listens unless it is told otherwise.
inline constexpr char kQueueHelperSocket[] = "/run/deferd-queue/queue.sock";

// Maximum number of listed recipients per message.
inline constexpr size_t kMaxRecipients = 100;

// Maximum number of deferred domains in one request, and of users.
inline constexpr size_t kMaxDeferredKeys = 5000;

// `held`: the listing is that of deferd's named queue. Recipients already delivered are left out.
void AddEximQueue(absl::string_view listing, bool held, std::vector<QueuedMail>* queue);
void AddPostfixQueue(absl::string_view listing, std::vector<QueuedMail>* queue);

// The string value of `name`; empty if there is none.
std::string QueueField(const Json& json, const std::string& name);

// A queue in the helper's protocol is a JSON array. Any other value reads as an empty queue.
Json QueueToJson(const std::vector<QueuedMail>& queue);
std::vector<QueuedMail> QueueFromJson(const Json& json);

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_QUEUE_LIST_H_
