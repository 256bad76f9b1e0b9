#include "limiter/intake/exim_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "limiter/intake/exim_scan.h"
#include "policy/attempt.h"
#include "policy/message_id.h"

namespace deferd {
namespace {

// A message id at the front, or an empty view.
absl::string_view LeadingId(absl::string_view text) {
  for (size_t size : {kShortEximId, kLongEximId}) {
    if (text.size() == size || (text.size() > size && text[size] == ' ')) {
      const absl::string_view id = text.substr(0, size);
      if (IsEximId(id)) return id;
    }
  }
  return {};
}

EximLineKind KindOfFlag(absl::string_view flag) {
  if (flag == "<=" || flag == "(=") return EximLineKind::kArrival;  // (= : control = fakereject
  if (flag == "=>" || flag == "->" || flag == ">>") return EximLineKind::kDelivered;
  if (flag == "==") return EximLineKind::kDeferred;
  if (flag == "**") return EximLineKind::kFailed;
  if (flag == "*>") return EximLineKind::kSuppressed;
  return EximLineKind::kOther;
}

void ParseIdentification(absl::string_view in, EximLine* line) {
  while (!in.empty()) {
    if (TakePrefix(&in, " ")) continue;
    const absl::string_view token = TakeToken(&in);
    if (absl::StartsWith(token, "U=")) line->account = token.substr(2);
    if (absl::StartsWith(token, "D=")) line->identified_domain = token.substr(2);
    if (absl::StartsWith(token, "S=")) return;
  }
}

// Output of Exim's ${quote: : a word of letters, digits and "_.-", or a quoted string.
bool TakeQuoteResult(absl::string_view* in) {
  size_t size = 0;
  if (absl::StartsWith(*in, "\"")) {
    size = QuotedEnd(*in);
  } else {
    while (size < in->size() && (absl::ascii_isalnum(static_cast<unsigned char>((*in)[size])) ||
                                 absl::StrContains("_.-", in->substr(size, 1)))) {
      ++size;
    }
  }
  in->remove_prefix(size);
  return size > 0;
}

// "claimed: user=web cwd="/srv" script="33:form.php"" up to the end of the line.
bool ParseClaim(absl::string_view in, EximLine* line) {
  const absl::string_view whole = in;
  if (!TakePrefix(&in, kClaimPrefix)) return false;
  for (absl::string_view field : {"user=", " cwd=", " script="}) {
    if (!TakePrefix(&in, field) || !TakeQuoteResult(&in)) return false;
  }
  if (!in.empty()) return false;
  line->text = whole;
  return true;
}

// The log text of an ACL's or filter's `discard`, in place of deliveries; `in` begins after "=> ".
bool ParseDiscard(absl::string_view in, EximLine* line) {
  if (in == "discarded (system filter)") {
    line->text = in;
    return true;
  }
  constexpr absl::string_view kEnd = " discarded recipients)";
  if (!TakePrefix(&in, "blackhole (")) return false;
  const size_t by = in.find(')');
  if (by == absl::string_view::npos || !absl::EndsWith(in.substr(0, by + 1), kEnd)) return false;
  const absl::string_view rest = in.substr(by + 1);
  if (!rest.empty() && !absl::StartsWith(rest, ": ")) return false;
  line->text = rest.empty() ? in.substr(0, by) : rest.substr(2);
  return true;
}

// Parses the text after the id.
void ParseMessageLine(absl::string_view in, EximLine* line) {
  line->kind = KindOfFlag(in.substr(0, 2));
  bool good = true;
  switch (line->kind) {
    case EximLineKind::kArrival:
      in.remove_prefix(2);
      TakePrefix(&in, " ");
      good = ParseArrival(in, line);
      break;
    case EximLineKind::kDelivered:
    case EximLineKind::kDeferred:
    case EximLineKind::kFailed:
      if (absl::StartsWith(in, "=> ") && ParseDiscard(in.substr(3), line)) {
        line->kind = EximLineKind::kDiscarded;
      } else {
        good = ParseDelivery(in.substr(2), line);
      }
      break;
    case EximLineKind::kSuppressed:
      break;
    default:
      if (in == "Completed" || absl::StartsWith(in, "Completed ")) {
        line->kind = EximLineKind::kCompleted;
      } else if (TakePrefix(&in, "Sender identification ")) {
        line->kind = EximLineKind::kIdentification;
        ParseIdentification(in, line);
      } else if (absl::StartsWith(in, "Message is frozen") || absl::StartsWith(in, "frozen by ") ||
                 absl::StartsWith(in, "Frozen (") || in == "Delivery deferred by system filter") {
        line->kind = EximLineKind::kFrozen;
        line->text = in;
      } else if (TakePrefix(&in, "cancelled by system filter: ")) {
        line->kind = EximLineKind::kRejected;
        line->text = in;
      } else if (TakePrefix(&in, "deferd ")) {
        // Syslog may have cut this line; nothing is lost.
        if (ParseClaim(in, line)) line->kind = EximLineKind::kClaimed;
      } else if (ParseRejection(in, line)) {
        line->kind = EximLineKind::kRejected;
      }
  }
  if (!good) {
    const absl::string_view id = line->id;
    *line = EximLine{.kind = EximLineKind::kMalformed, .id = id};
  }
}

}  // namespace

bool BeginsWithEximId(absl::string_view text) { return !LeadingId(text).empty(); }

EximLine ParseEximLine(absl::string_view text) {
  EximLine line;
  line.id = LeadingId(text);
  if (line.id.empty()) {
    if (ParseRejection(text, &line)) line.kind = EximLineKind::kRejected;
    return line;
  }
  text.remove_prefix(line.id.size());
  TakePrefix(&text, " ");
  ParseMessageLine(text, &line);
  return line;
}

}  // namespace deferd
