// Parses the text after =>  ->  >>  ==  **: an address as Exim's string_log_address prints it,
// fields, and the error or reply text, which is not interpreted.

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "limiter/intake/exim_scan.h"

namespace deferd {
namespace {

constexpr size_t kNoPlace = absl::string_view::npos;

// Text that may follow an address: "R=remote", " defer (-1)", ": text".
bool IsAddressOver(absl::string_view in) {
  if (in.empty() || in == ":" || absl::StartsWith(in, ": ") || absl::StartsWith(in, " : ")) {
    return true;
  }
  if (!TakePrefix(&in, " ")) return false;
  if (absl::StartsWith(in, "defer (") || absl::StartsWith(in, "routing defer (")) return true;
  size_t n = 0;
  while (n < in.size() && absl::ascii_isupper(in[n])) ++n;
  return n > 0 && n < in.size() && in[n] == '=';
}

// Whether `quoted` ("a \"b"@d) is `plain` (a "b@d), an address printed without its quotes.
bool IsUnquotedForm(absl::string_view plain, absl::string_view quoted) {
  size_t p = 0;
  bool inside = false;
  for (size_t i = 0; i < quoted.size(); ++i) {
    char c = quoted[i];
    if (c == '"') {
      inside = !inside;
      continue;
    }
    if (inside && c == '\\' && i + 1 < quoted.size()) c = quoted[++i];
    if (p == plain.size() || absl::ascii_tolower(plain[p]) != absl::ascii_tolower(c)) return false;
    ++p;
  }
  return p == plain.size();
}

// Exim prints an address with a quoted local part without the quotes, then again in full. The first
// form may contain anything, even blanks and fields; only the second form is safe.
bool TakeUnquotedForm(absl::string_view* in, EximLine* line) {
  for (size_t open = in->find('<'); open != kNoPlace; open = in->find('<', open + 1)) {
    if (open < 2 || (*in)[open - 1] != ' ' || !absl::StartsWith(in->substr(open), "<\"")) continue;
    absl::string_view rest = in->substr(open);
    absl::string_view quoted;
    if (!TakeBracketed(&rest, &quoted) || !IsUnquotedForm(in->substr(0, open - 1), quoted))
      continue;
    line->recipient = quoted;
    *in = rest;
    return true;
  }
  return false;
}

// Pipes, files and autoreplies: the original address always ends the text, which may contain
// blanks. So do bare local parts, whose text is a word.
bool TakeWithOriginal(absl::string_view* in, EximLine* line) {
  const bool words = (*in)[0] != '|' && (*in)[0] != '/' && (*in)[0] != '>';
  const absl::string_view head = words ? in->substr(0, in->find(": ")) : *in;
  for (size_t open = head.find(" <"); open != kNoPlace; open = head.find(" <", open + 1)) {
    absl::string_view rest = in->substr(open + 1);
    if (!TakeBracketed(&rest, &line->original) || !IsAddressOver(rest)) continue;
    line->recipient = in->substr(0, open);
    if (absl::EndsWith(line->recipient, ")")) {
      line->recipient = line->recipient.substr(0, line->recipient.rfind(" ("));
    }
    *in = rest;
    return true;
  }
  line->original = {};
  return false;
}

// After the final address: " (parent, parent)" and " <original>".
void TakeParents(absl::string_view* in, EximLine* line) {
  absl::string_view rest = *in;
  if (absl::StartsWith(rest, " (")) {
    size_t close = rest.find(')');
    while (close != kNoPlace && !absl::StartsWith(rest.substr(close + 1), " <") &&
           !IsAddressOver(rest.substr(close + 1))) {
      close = rest.find(')', close + 1);
    }
    if (close == kNoPlace) return;
    rest.remove_prefix(close + 1);
    *in = rest;
  }
  if (TakePrefix(&rest, " ") && TakeBracketed(&rest, &line->original)) *in = rest;
}

// The whole address part. `*local`: delivery to a pipe, a file, an autoreply, or discarded.
bool TakeRecipient(absl::string_view* in, EximLine* line, bool* local) {
  if (in->empty()) return false;
  if (TakeUnquotedForm(in, line)) return IsAddressOver(*in);
  constexpr absl::string_view kBlackhole = ":blackhole:";
  absl::string_view rest = *in;
  if (TakePrefix(&rest, kBlackhole)) {
    *local = true;
    line->recipient = kBlackhole;
    *in = rest;
    TakeParents(in, line);
    return IsAddressOver(*in);
  }
  size_t size = AddressEnd(*in, ' ');
  if (size == kNoPlace) return false;
  if (size > 0 && (*in)[size - 1] == ':') --size;
  if (size == 0) return false;
  const absl::string_view address = in->substr(0, size);
  const size_t at = address.rfind('@');
  const bool qualified = at != kNoPlace;
  if (at == 0 || at + 1 == address.size()) return false;
  const bool shell_like = address[0] == '|' || address[0] == '/';  // also legal in an address
  rest = in->substr(size);
  if (IsAddressOver(rest) && (qualified || !absl::StrContains(address, '='))) {
    line->recipient = address;
    *local = address[0] == '>' || (shell_like && !qualified);
    *in = rest;
    return true;
  }
  if (qualified && !shell_like && address[0] != '>') {
    line->recipient = address;
    *in = rest;
    TakeParents(in, line);
    return IsAddressOver(*in);
  }
  if (!TakeWithOriginal(in, line)) return false;
  *local = shell_like || address[0] == '>' || absl::StartsWith(line->recipient, "save ") ||
           absl::StrContains(line->recipient, " |");
  if (!*local) {  // only a local part
    line->recipient = line->original;
    line->original = {};
  }
  return true;
}

// " [IP]:port*" and what may precede it, after the host name.
void TakeHostAddress(absl::string_view* in, EximLine* line) {
  absl::string_view rest = *in;
  TakePrefix(&rest, " DS");
  if (!TakePrefix(&rest, " [")) return;
  const size_t close = rest.find(']');
  if (close == kNoPlace) return;
  line->host_ip = rest.substr(0, close);
  *in = rest.substr(close + 1);
}

// Fields up to the text. `in` begins with the blank or colon after the address. An error text
// begins after the first field that ends in a colon.
class FieldParser {
 public:
  FieldParser(absl::string_view in, bool local, EximLine* line)
      : in_(in), local_(local), line_(line) {}

  // False: a deferral without its reason.
  bool Parse() {
    while (!in_.empty()) {
      if (line_->kind != EximLineKind::kDelivered && TakeColon()) {
        line_->text = in_;
        break;
      }
      if (TakePrefix(&in_, " ")) continue;
      if (line_->kind == EximLineKind::kDeferred && !has_code_ && TakePrefix(&in_, "defer (")) {
        if (!TakeCode()) return false;
      } else if (!TakeField()) {
        break;
      }
    }
    return has_code_ || line_->kind != EximLineKind::kDeferred;
  }

 private:
  bool TakeColon() {
    if (in_ == ":") {
      in_ = {};
      return true;
    }
    return TakePrefix(&in_, ": ");
  }

  // "-46)", then possibly ": Connection timed out H=.." if the code is a system error.
  bool TakeCode() {
    const size_t close = in_.find(')');
    if (close == kNoPlace || !absl::SimpleAtoi(in_.substr(0, close), &line_->defer_code))
      return false;
    has_code_ = true;
    in_.remove_prefix(close + 1);
    if (line_->defer_code <= 0) return true;
    absl::string_view rest = in_;
    if (!TakePrefix(&rest, ": ")) return true;
    const absl::string_view reason = rest.substr(0, rest.find(':'));
    const size_t host = reason.find(" H=");
    if (host == kNoPlace) return true;
    line_->text = reason.substr(0, host);  // unless more text follows the host
    in_ = rest.substr(host);
    return true;
  }

  // Returns false when nothing more can be read.
  bool TakeField() {
    absl::string_view value;
    if (TakePrefix(&in_, "C=")) {
      const size_t size = in_.empty() || in_.front() != '"' ? 0 : QuotedEnd(in_);
      line_->text = size == 0 ? in_ : in_.substr(1, size - 2);
      return false;
    }
    if (TakePrefix(&in_, "ST=")) return false;  // shadow transport, followed by its free text
    if (TakePrefix(&in_, "H=")) {
      value = TakeValue();
      if (line_->has_host || local_) return true;
      line_->has_host = true;
      line_->host = value;
      TakeHostAddress(&in_, line_);
      TakePort(TakeValue());
      return true;
    }
    if (absl::StartsWith(in_, "F=<") || absl::StartsWith(in_, "P=<")) {
      const bool sender = in_.front() == 'F' && line_->sender.empty();
      in_.remove_prefix(2);
      if (!TakeBracketed(&in_, &value)) {
        TakeValue();
      } else if (sender) {
        line_->sender = value;
      }
      return true;
    }
    if (absl::StartsWith(in_, "DN=\"") || absl::StartsWith(in_, "SNI=\"")) {
      in_.remove_prefix(in_.find('='));
      in_.remove_prefix(1);
      if (!TakeLooselyQuoted(&in_, &value)) TakeValue();
      return true;
    }
    const absl::string_view token = TakeValue();
    if (absl::StartsWith(token, "R=") && line_->router.empty()) line_->router = token.substr(2);
    if (absl::StartsWith(token, "T=") && line_->transport.empty()) {
      line_->transport = token.substr(2);
    }
    return true;
  }

  // ":25", with an asterisk if DNSSEC secured the host.
  void TakePort(absl::string_view value) {
    absl::ConsumeSuffix(&value, "*");
    if (!absl::ConsumePrefix(&value, ":") || !absl::SimpleAtoi(value, &line_->port)) {
      line_->port = 0;
    }
  }

  // Up to the next blank, or to the colon before it that ends the fields.
  absl::string_view TakeValue() {
    absl::string_view value = in_.substr(0, BlankAt(in_));
    if (line_->kind != EximLineKind::kDelivered && absl::EndsWith(value, ":")) {
      value.remove_suffix(1);
    }
    in_.remove_prefix(value.size());
    return value;
  }

  absl::string_view in_;
  const bool local_;
  EximLine* const line_;
  bool has_code_ = false;
};

// The time that +deliver_time adds after the text of a failure.
absl::string_view WithoutTime(absl::string_view text) {
  const size_t blank = text.rfind(' ');
  if (blank == kNoPlace || !absl::StartsWith(text.substr(blank), " DT=")) return text;
  const absl::string_view time = text.substr(blank + 4);
  if (time.find_first_not_of("0123456789.wdhms") != kNoPlace) return text;
  return text.substr(0, blank);
}

}  // namespace

bool ParseDelivery(absl::string_view in, EximLine* line) {
  while (TakePrefix(&in, " ")) {
  }
  bool local = false;
  if (!TakeRecipient(&in, line, &local)) return false;
  if (absl::EqualsIgnoreCase(line->original, line->recipient)) line->original = {};
  if (!FieldParser(in, local, line).Parse()) return false;
  if (line->kind == EximLineKind::kFailed) line->text = WithoutTime(line->text);
  // Exim before 4.83 names the host in the text, after these words.
  if (line->kind != EximLineKind::kDelivered && !local &&
      absl::StartsWith(line->text, "SMTP error from remote mail")) {
    line->has_host = true;
  }
  return true;
}

}  // namespace deferd
