#include "policy/left_out.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "policy/refusal_text.h"

namespace deferd {

namespace {

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

bool ConsumeDigits(absl::string_view* text) {
  size_t digits = 0;
  while (digits < text->size() && IsDigit((*text)[digits])) ++digits;
  text->remove_prefix(digits);
  return digits > 0;
}

// Blanks and line ends, also the two characters "\n" that Exim writes for one.
bool ConsumeGap(absl::string_view* text) {
  const size_t before = text->size();
  while (absl::ConsumePrefix(text, " ") || absl::ConsumePrefix(text, "\\n") ||
         absl::ConsumePrefix(text, "\n") || absl::ConsumePrefix(text, "\r") ||
         absl::ConsumePrefix(text, "\t")) {
  }
  return text->size() != before;
}

// "550-", "550 ", "550-5.7.1 ": what stands at the beginning of each line of a reply.
void ConsumeReplyCode(absl::string_view* text) {
  if (text->size() < 4 || ((*text)[0] != '4' && (*text)[0] != '5') || !IsDigit((*text)[1]) ||
      !IsDigit((*text)[2]) || ((*text)[3] != '-' && (*text)[3] != ' ')) {
    return;
  }
  text->remove_prefix(4);
  absl::string_view enhanced = *text;
  if (ConsumeDigits(&enhanced) && absl::ConsumePrefix(&enhanced, ".") && ConsumeDigits(&enhanced) &&
      absl::ConsumePrefix(&enhanced, ".") && ConsumeDigits(&enhanced) &&
      absl::ConsumePrefix(&enhanced, " ")) {
    *text = enhanced;
  }
}

// The reply as one line again, with single spaces where it was wrapped.
std::string Unwrapped(absl::string_view reply) {
  std::string line;
  line.reserve(reply.size());
  ConsumeReplyCode(&reply);
  while (!reply.empty()) {
    if (ConsumeGap(&reply)) {
      ConsumeReplyCode(&reply);
      line.push_back(' ');
    } else {
      line.push_back(reply.front());
      reply.remove_prefix(1);
    }
  }
  return line;
}

// Whether `word` and a blank stand in the last part of `text`, as far back as a refusal can reach.
// The subject between may be missing: where it looks like a reply's code, Unwrapped took it out.
bool HasWordBefore(absl::string_view text, absl::string_view word) {
  if (text.size() > kMaxRefusalText) text.remove_prefix(text.size() - kMaxRefusalText);
  for (size_t at = text.find(word); at != absl::string_view::npos; at = text.find(word, at + 1)) {
    const absl::string_view after = text.substr(at + word.size());
    const bool begins = at == 0 || !absl::ascii_isalnum(static_cast<unsigned char>(text[at - 1]));
    if (begins && (after.empty() || after.front() == ' ')) return true;
  }
  return false;
}

bool HasKindBefore(absl::string_view text) {
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    if (HasWordBefore(text, RefusalKindWord(static_cast<SubjectKind>(kind)))) return true;
  }
  return false;
}

// "A/B (C%)) allowed."
bool BeginsWithCounts(absl::string_view text) {
  return ConsumeDigits(&text) && absl::ConsumePrefix(&text, "/") && ConsumeDigits(&text) &&
         absl::ConsumePrefix(&text, " (") && ConsumeDigits(&text) &&
         absl::StartsWith(text, kAllowed);
}

}  // namespace

absl::string_view LeftOutName(LeftOut reason) {
  switch (reason) {
    case LeftOut::kCounts:
      return "counts";
    case LeftOut::kNobodyCharged:
      return "nobody charged";
    case LeftOut::kMadeByMta:
      return "made by the MTA";
    case LeftOut::kNoRemoteHost:
      return "no remote host";
    case LeftOut::kInternalHost:
      return "internal host";
    case LeftOut::kOwnRefusal:
      return "own refusal";
    case LeftOut::kLate:
      return "late";
    case LeftOut::kFuture:
      return "future";
    case LeftOut::kReplyClass:
      return "reply class";
    case LeftOut::kIncident:
      return "incident";
  }
  return "unknown";
}

LeftOut WhyLeftOut(const ChargeLists& lists, const Attempt& attempt, LeftOut previous) {
  if (IsOwnRefusal(attempt.reply)) return LeftOut::kOwnRefusal;
  if (attempt.identity.made_by_mta) return LeftOut::kMadeByMta;
  if (lists.internal_hosts.ContainsAddress(attempt.host_ip) ||
      lists.internal_hosts.ContainsName(attempt.host)) {
    return LeftOut::kInternalHost;
  }
  if (attempt.bare_expiry) return previous;
  if (!attempt.remote && !lists.local) return LeftOut::kNoRemoteHost;
  return LeftOut::kCounts;
}

bool IsOwnRefusal(absl::string_view reply) {
  // Nearly every reply is told apart by these two bytes, at the speed of memchr.
  const bool maybe_counts = absl::StrContains(reply, '%');
  const bool maybe_stopped = absl::StrContains(reply, 'M');
  if (!maybe_counts && !maybe_stopped) return false;
  if (!absl::StrContains(reply, "exceeded") && !absl::StrContains(reply, "administrator")) {
    return false;
  }
  const std::string unwrapped = Unwrapped(reply);
  const absl::string_view line = unwrapped;
  for (size_t at = line.find(kExceeded); at != absl::string_view::npos;
       at = line.find(kExceeded, at + 1)) {
    if (BeginsWithCounts(line.substr(at + kExceeded.size())) && HasKindBefore(line.substr(0, at))) {
      return true;
    }
  }
  for (size_t at = line.find(kWasStopped); at != absl::string_view::npos;
       at = line.find(kWasStopped, at + 1)) {
    if (HasWordBefore(line.substr(0, at), absl::StripSuffix(kStoppedMail, " "))) return true;
  }
  return false;
}

}  // namespace deferd
