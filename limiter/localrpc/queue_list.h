// What is in an MTA's queue: its own listing read, and the form in which the root helper tells it.
//
// Sources: Exim's -bp (specification, section 5.2), Postfix's `postqueue -j` (postqueue(1)). A line
// that is not understood is left out; nothing here fails.

#ifndef DEFERD_LIMITER_LOCALRPC_QUEUE_LIST_H_
#define DEFERD_LIMITER_LOCALRPC_QUEUE_LIST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queued_mail.h"

namespace deferd {

// Recipients of one message that are listed.
inline constexpr size_t kMaxRecipients = 100;

// Domains that one request may put off, and as many users.
inline constexpr size_t kMaxPutOff = 5000;

// `held`: it is the list of deferd's named queue. Recipients that were delivered to are left out.
void AddEximQueue(absl::string_view listing, bool held, std::vector<QueuedMail>* queue);
void AddPostfixQueue(absl::string_view listing, std::vector<QueuedMail>* queue);

// The string under `name`, as it is; empty if there is none.
std::string QueueField(const Json& json, const std::string& name);

// A queue as the helper's protocol has it: an array. What is no such array reads as empty.
Json QueueToJson(const std::vector<QueuedMail>& queue);
std::vector<QueuedMail> QueueFromJson(const Json& json);

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_QUEUE_LIST_H_
