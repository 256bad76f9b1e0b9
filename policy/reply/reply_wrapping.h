// What stands around and before the text of an answer: the parts of reply_text.h that find it.
// Pure and linear, for any bytes.

#ifndef DEFERD_POLICY_REPLY_REPLY_WRAPPING_H_
#define DEFERD_POLICY_REPLY_REPLY_WRAPPING_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "policy/reply/reply_text.h"

namespace deferd {

// "450" or "550" at the beginning of `text`, with what ends a reply code after it; 0 if not.
int ReplyCodeAt(absl::string_view text);

// The size of "5.1.1" at the beginning of `text`; 0 if there is none.
size_t EnhancedCodeAt(absl::string_view text);

// Takes off what a log line has before the answer. Exim: "[STAMP ID] == ADDRESS R=... T=... defer
// (-44) H=...: ANSWER"; Postfix: "... to=<...>, ..., dsn=4.2.2, status=deferred (ANSWER)".
absl::string_view WithoutLogPrefix(absl::string_view line, ReplyText* out);

// Takes the MTA's sentence off a remote answer, and tells after which command that came.
absl::string_view WithoutWrapping(absl::string_view text, absl::string_view* stage);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_WRAPPING_H_
