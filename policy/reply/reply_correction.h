// Helpers for operators' corrections: a pattern made from a misclassified reply, and a reply
// without personal data, for people who label replies.
//
// Pure and linear, for any bytes.

#ifndef DEFERD_POLICY_REPLY_REPLY_CORRECTION_H_
#define DEFERD_POLICY_REPLY_REPLY_CORRECTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// A pattern for [reply.NAME] that matches this wording with any addresses, IPs, numbers and ids.
// InvalidArgument if the reply has less than two words, because the pattern would match far too
// much.
absl::StatusOr<std::string> ReplyPatternOf(absl::string_view reply);

// The table for the file of corrections. Its name is derived from the pattern, so that the same
// reply gets the same name.
std::string ReplyTableName(ReplyClass reply_class, absl::string_view pattern);
std::string ReplyTable(ReplyClass reply_class, absl::string_view pattern);

// "550 5.1.1 text" in lower case: an address becomes "@", an IP "#", a host or link "HOST", an id
// "ID", a number "0", and each of `names` (local parts, domains) "NAME".
std::string AnonymousReply(absl::string_view reply, const std::vector<std::string>& names);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_CORRECTION_H_
