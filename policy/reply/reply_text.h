// A delivery answer in the one form that rules are written for.
//
// An answer reaches deferd as the bare SMTP reply, as the MTA's sentence around it (Exim's "SMTP
// error from remote mail server after RCPT TO:<...>: 550 ...", Postfix' "host mx[192.0.2.1] said:
// 550 ...", qmail's "Remote host said: 550 ..."), as a sentence of the MTA alone, or as a log line
// with any of these. Normalising makes all of them
//
//   CODE ENHANCED STAGE: text        550 5.1.1 rcpt: <@>: recipient address rejected
//
// with "-" (CODE: "---") for what is not known. In the text, letters are small and without accents,
// blanks and line ends are one blank, codes repeated on each line of a reply are gone, an address
// is
// "@" (a rule must never match in one: senders choose them) and an IP is "#".
//
// Pure and linear in the answer, of which the first kMaxReplyText bytes are read. Any bytes will
// do.

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
  bool enhanced_leads = false;       // it stood before the text, not somewhere in it ("(#5.1.1)")
  std::optional<Permanence> logged;  // what the mark of a log line says: ==, **, status=
  std::string buffer;
  size_t begin = 0;  // where the text begins in it

  absl::string_view text() const { return absl::string_view(buffer).substr(begin); }
};

// "250 2.0.0 OK", "2.1.5 ok", "354 go ahead": the server took what it was given, or waits for more.
bool IsSuccessReply(absl::string_view reply);

// Overwrites `out`, whose buffers are reused.
void NormalizeReply(absl::string_view reply, ReplyText* out);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_TEXT_H_
