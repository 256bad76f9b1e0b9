// Finds the reply inside its wrapping: the log line, the MTA's sentence, leading codes. Used by
// reply_text.h. Pure and linear, for any bytes.

#ifndef DEFERD_POLICY_REPLY_REPLY_WRAPPING_H_
#define DEFERD_POLICY_REPLY_REPLY_WRAPPING_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "policy/reply/reply_text.h"

namespace deferd {

// A reply code at the beginning of `text` ("450", "550"), followed by a delimiter; 0 if there is
// none.
int ReplyCodeAt(absl::string_view text);

// The size of "5.1.1" at the beginning of `text`; 0 if there is none.
size_t EnhancedCodeAt(absl::string_view text);

// Removes the log line's part before the reply. Exim: "[STAMP ID] == ADDRESS R=... T=... defer
// (-44) H=...: REPLY"; Postfix: "... to=<...>, ..., dsn=4.2.2, status=deferred (REPLY)".
absl::string_view WithoutLogPrefix(absl::string_view line, ReplyText* out);

// Removes the MTA's sentence around a remote reply; returns the SMTP command that it names.
absl::string_view WithoutWrapping(absl::string_view text, absl::string_view* stage);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_WRAPPING_H_
