// The normal form of replies for which rules are written.
//
// A reply reaches deferd as the bare SMTP reply, inside the MTA's sentence (Exim's "SMTP error from
// remote mail server after RCPT TO:<...>: 550 ...", Postfix's "host mx[192.0.2.1] said: 550 ...",
// qmail's "Remote host said: 550 ..."), as a sentence of the MTA alone, or as a log line with any
// of these. The normal form of all of them is
//
//   CODE ENHANCED STAGE: text        550 5.1.1 rcpt: <@>: recipient address rejected
//
// with "-" (CODE: "---") for unknown parts. In the text, letters are lower case and without
// accents; blanks and line ends are one blank; reply codes repeated on each line are removed; an
// address is "@" (rules must not match inside addresses, which senders choose) and an IP is "#".
//
// Pure and linear in the reply, of which the first kMaxReplyText bytes are read. Any bytes are
// allowed.

#ifndef DEFERD_POLICY_REPLY_REPLY_TEXT_H_
#define DEFERD_POLICY_REPLY_REPLY_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "policy/reply/reply_class.h"

namespace deferd {

inline constexpr size_t kMaxReplyText = 4096;

struct ReplyText {
  int code = 0;                      // 4xx or 5xx; 0 if there is none
  std::string enhanced;              // "5.1.1"; empty if there is none
  bool enhanced_leads = false;       // in front of the text, not inside it ("(#5.1.1)")
  std::optional<Permanence> logged;  // from the mark of a log line: ==, **, status=
  bool nobody_asked = false;         // a log line that names no server: no T= and H=, relay=none
  std::string buffer;
  size_t begin = 0;  // beginning of the text in it

  absl::string_view text() const { return absl::string_view(buffer).substr(begin); }
};

// Whether the server accepted or waits for more: "250 2.0.0 OK", "2.1.5 ok", "354 go ahead".
bool IsSuccessReply(absl::string_view reply);

// Overwrites `out`, whose buffers are reused.
void NormalizeReply(absl::string_view reply, ReplyText* out);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_TEXT_H_
