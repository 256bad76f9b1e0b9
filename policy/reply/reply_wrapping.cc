#include "policy/reply/reply_wrapping.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxLogPrefix = 1024;  // of a log line, before the answer

// The names under which MTAs tell after which command an answer came, and ours.
struct StageName {
  absl::string_view said;
  absl::string_view stage;
};
constexpr std::array<StageName, 12> kStages = {{
    {"end of data", "eom"},
    {"sending data block", "eom"},
    {"message body", "eom"},
    {"RCPT TO", "rcpt"},
    {"MAIL FROM", "mail"},
    {"DATA", "data"},
    {"initial connection", "connect"},
    {"EHLO", "helo"},
    {"HELO", "helo"},
    {"STARTTLS", "starttls"},
    {"AUTH", "auth"},
    {"BDAT", "eom"},
}};

// An answer after another command, or one that is not named.
constexpr absl::string_view kSomeStage = "smtp";

absl::string_view StageAt(absl::string_view text) {
  absl::ConsumePrefix(&text, "pipelined ");
  for (const StageName& name : kStages) {
    if (absl::StartsWithIgnoreCase(text, name.said)) return name.stage;
  }
  return kSomeStage;
}

// Where `prefix` stands in `text` and what comes after; npos if it does not.
size_t After(absl::string_view text, absl::string_view prefix) {
  const size_t at = text.find(prefix);
  return at == absl::string_view::npos ? at : at + prefix.size();
}

// What is behind an address in brackets, whose local part may hold anything in quotes.
absl::string_view BehindAddress(absl::string_view text) {
  if (!absl::StartsWith(text, "<")) return text;
  bool quoted = false;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == '>' && !quoted) {
      return text.substr(i + 1);
    }
  }
  return text;
}

// The first reply code that follows ": ", as in the sentences of Exim and Postfix. An address that
// Exim names with the command is passed over: whoever sends mail chooses it.
absl::string_view FromReplyCode(absl::string_view text, absl::string_view otherwise) {
  const size_t open = text.find('<');
  if (open != absl::string_view::npos && open < text.find(": "))
    text = BehindAddress(text.substr(open));
  for (size_t at = text.find(": "); at != absl::string_view::npos; at = text.find(": ", at + 1)) {
    if (ReplyCodeAt(text.substr(at + 2)) != 0) return text.substr(at + 2);
  }
  return otherwise;
}

}  // namespace

int ReplyCodeAt(absl::string_view text) {
  if (text.size() < 3 || (text[0] != '4' && text[0] != '5') || !IsDigit(text[1]) ||
      !IsDigit(text[2]) || text[1] > '7') {
    return 0;
  }
  if (text.size() > 3 && text[3] != ' ' && text[3] != '-' && text[3] != ':' && text[3] != '\t' &&
      text[3] != '\r' && text[3] != '\n' && text[3] != '\\') {
    return 0;
  }
  return (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
}

size_t EnhancedCodeAt(absl::string_view text) {
  if (text.size() < 5 || (text[0] != '4' && text[0] != '5') || text[1] != '.') return 0;
  size_t at = 2;
  for (int part = 0; part < 2; ++part) {
    const size_t begin = at;
    while (at < text.size() && at - begin < 3 && IsDigit(text[at])) ++at;
    if (at == begin) return 0;
    if (part == 0) {
      if (at == text.size() || text[at] != '.') return 0;
      ++at;
    }
  }
  if (at < text.size() && IsAlnum(text[at])) return 0;
  if (at + 1 < text.size() && text[at] == '.' && IsDigit(text[at + 1])) return 0;
  return at;
}

absl::string_view WithoutLogPrefix(absl::string_view line, ReplyText* out) {
  if (ReplyCodeAt(line) != 0) return line;
  const absl::string_view front = line.substr(0, kMaxLogPrefix);
  size_t mark = absl::string_view::npos;
  if (absl::StartsWith(front, "== ") || absl::StartsWith(front, "** ")) {
    mark = 0;
  } else if (!front.empty() && IsDigit(front[0])) {
    const size_t deferred = front.substr(0, 120).find(" == ");
    const size_t failed = front.substr(0, 120).find(" ** ");
    mark = std::min(deferred, failed);
    if (mark != absl::string_view::npos) ++mark;
  }
  if (mark != absl::string_view::npos) {
    out->logged = line[mark] == '=' ? Permanence::kTransient : Permanence::kPermanent;
    // Exim puts " : " before its own sentences and ": " elsewhere; neither stands in an address.
    const size_t colon = line.find(": ", mark + 3);
    const absl::string_view fields = line.substr(mark, std::min(colon, line.size()) - mark);
    out->nobody_asked = absl::StrContains(fields, " R=") && !absl::StrContains(fields, " T=") &&
                        !absl::StrContains(fields, " H=");
    return colon == absl::string_view::npos ? line.substr(mark + 3) : line.substr(colon + 2);
  }
  const size_t status = front.find("status=");
  if (status != absl::string_view::npos) {
    absl::string_view rest = line.substr(status + 7);
    const size_t open = rest.substr(0, 32).find(" (");
    if (open == absl::string_view::npos) return line;
    const absl::string_view word = rest.substr(0, open);
    if (word == "deferred") out->logged = Permanence::kTransient;
    if (word == "bounced" || word == "expired") out->logged = Permanence::kPermanent;
    out->nobody_asked = absl::StrContains(front.substr(0, status), " relay=none,");
    const size_t dsn = front.find("dsn=");
    if (dsn != absl::string_view::npos) {
      const absl::string_view code = front.substr(dsn + 4);
      out->enhanced.assign(code.data(), EnhancedCodeAt(code));
    }
    rest.remove_prefix(open + 2);
    absl::ConsumeSuffix(&rest, ")");
    return rest;
  }
  return line;
}

absl::string_view WithoutWrapping(absl::string_view text, absl::string_view* stage) {
  constexpr absl::string_view kNone = "-";
  *stage = kNone;
  absl::ConsumePrefix(&text, "delivery temporarily suspended: ");
  // Amazon SES: "5.1.0 - Unknown address error 550-'5.7.1 ...' (delivery attempts: 0)".
  if (EnhancedCodeAt(text) != 0) {
    const size_t quote = text.substr(0, 80).find("-'");
    if (quote != absl::string_view::npos && quote > 3 && ReplyCodeAt(text.substr(quote - 3)) != 0) {
      return text.substr(quote - 3);
    }
  }
  if (ReplyCodeAt(text) == 0) {
    // The MTA's own words come first; what comes later may be quoted by the answer.
    const size_t exim = After(text, "SMTP error from remote mail");
    const size_t talk = After(text, "refused to talk to me: ");
    const size_t said = After(text, " said: ");
    if (exim < std::min(talk, said)) {
      const absl::string_view rest = text.substr(exim);
      const size_t after = After(rest.substr(0, 64), " after ");
      *stage = after == absl::string_view::npos ? kSomeStage : StageAt(rest.substr(after));
      if (*stage == kSomeStage && absl::StrContains(rest.substr(0, 64), "end of data")) {
        *stage = "eom";
      }
      text = FromReplyCode(rest, text);
    } else if (talk < said) {
      *stage = "connect";
      if (ReplyCodeAt(text.substr(talk)) != 0) text = text.substr(talk);
    } else if (said != absl::string_view::npos && ReplyCodeAt(text.substr(said)) != 0) {
      const absl::string_view before = text.substr(0, said);
      *stage = kSomeStage;
      if (absl::StartsWith(before, "SASL authentication failed; ")) *stage = "auth";
      if (absl::StrContains(before, "my name was rejected")) *stage = "helo";
      if (absl::StrContains(before, "sender was rejected")) *stage = "mail";
      if (absl::StrContains(before, "does not like recipient")) *stage = "rcpt";
      if (absl::StrContains(before, "after I sent the message")) *stage = "eom";
      text = text.substr(said);
    }
  }
  const void* const open = memrchr(text.data(), '(', text.size());
  const size_t reply_to =
      open == nullptr ? text.size() : static_cast<const char*>(open) - text.data();
  if (absl::StartsWith(text.substr(reply_to), "(in reply to ")) {
    *stage = StageAt(text.substr(reply_to + 13));
    text = text.substr(0, reply_to);
  }
  return text;
}

}  // namespace deferd
