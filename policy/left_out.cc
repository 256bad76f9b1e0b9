#include "policy/left_out.h"

#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "policy/on_this_host.h"
#include "policy/refusal_text.h"
#include "policy/reply/reply_wrapping.h"
#include "policy/text.h"

namespace deferd {

namespace {

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

// The transport of deploy/postfix/held.master.cf, which is a pipe(8): it logs its name as relay=.
constexpr absl::string_view kHeldTransport = "deferd-held";

bool IsInternal(const ChargeLists& lists, const Attempt& attempt) {
  return lists.internal_hosts.ContainsAddress(attempt.host_ip) ||
         lists.internal_hosts.ContainsName(attempt.host);
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
    case LeftOut::kUnclear:
      return "unclear";
  }
  return "unknown";
}

LeftOut WhyLeftOut(const ChargeLists& lists, const Policy& policy, const Attempt& attempt,
                   const AttemptContext& context) {
  if (IsOwnRefusal(lists, policy, attempt)) return LeftOut::kOwnRefusal;
  if (attempt.identity.made_by_mta) return LeftOut::kMadeByMta;
  if (IsInternal(lists, attempt)) return LeftOut::kInternalHost;
  if (attempt.bare_expiry) return context.previous;
  const bool local_counts = lists.local || policy.profile == Profile::kCpanel;
  if (!local_counts && OnThisHost(lists, context.charged, attempt, context.answer)) {
    return LeftOut::kNoRemoteHost;
  }
  return LeftOut::kCounts;
}

bool IsOwnRefusal(const ChargeLists& lists, const Policy& policy, const Attempt& attempt) {
  if (attempt.outcome == Outcome::kDelivered) return false;
  if (attempt.host == kHeldTransport && attempt.transport == "pipe") return true;
  absl::string_view text = attempt.reply;
  if (!attempt.remote) {
    // qmgr(8) and Exim put these before the text that a transport or router gave them.
    absl::ConsumePrefix(&text, "delivery temporarily suspended: ");
    absl::ConsumePrefix(&text, "\"");
    return IsRefusalText(Unwrapped(text), policy.text);
  }
  if (!IsInternal(lists, attempt)) return false;
  absl::string_view stage;
  const std::string line = Unwrapped(WithoutWrapping(text, &stage));
  text = line;
  // smtpd(8): "<r@dest.example>: Recipient address rejected: TEXT".
  const size_t rejected = absl::StartsWith(text, "<") ? text.find(" rejected: ") : text.npos;
  if (rejected != text.npos) text.remove_prefix(rejected + sizeof(" rejected: ") - 1);
  return IsRefusalText(text, policy.text);
}

}  // namespace deferd
