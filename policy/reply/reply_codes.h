// Plain-language meanings of reply codes (RFC 5321 4.2 and its extensions) and enhanced status
// codes (the IANA registry of RFC 5248).
//
// Pure; the texts have static lifetime. A code says less than the words beside it: servers use 550
// 5.7.1 for nearly everything.

#ifndef DEFERD_POLICY_REPLY_REPLY_CODES_H_
#define DEFERD_POLICY_REPLY_REPLY_CODES_H_

#include <array>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace deferd {

struct ReplyCodeInfo {
  absl::string_view code;     // "550"; "1.1" of X.1.1
  absl::string_view meaning;  // one sentence
  absl::string_view action;   // what to do
};

// All known codes, in order.
absl::Span<const ReplyCodeInfo> ReplyCodes();
absl::Span<const ReplyCodeInfo> EnhancedCodes();

// For "550" and "5.1.1" (or "4.1.1"). An unlisted code is explained by its first digit, or by the
// second part of an enhanced code; nullopt if that is unknown too.
std::optional<ReplyCodeInfo> ReplyCodeInfoOf(absl::string_view code);
std::optional<ReplyCodeInfo> EnhancedCodeInfoOf(absl::string_view enhanced);

// Words that mail systems show as the state of a message: "deferred", "bounced" ...
std::optional<ReplyCodeInfo> StateWordInfoOf(absl::string_view word);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_CODES_H_
