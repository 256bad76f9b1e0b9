#include "policy/on_this_host.h"

#include <algorithm>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

// A pipe, a file, an autoreply or nowhere, as Exim names them in place of an address.
bool IsNoMailbox(absl::string_view recipient) {
  if (absl::StartsWith(recipient, ">") || absl::StartsWith(recipient, ":blackhole:")) return true;
  if (absl::StartsWith(recipient, "|")) return recipient.find_first_of(" /") != recipient.npos;
  return absl::StartsWith(recipient, "/") && !absl::StrContains(recipient, '@');
}

bool IsDeliveredHere(const ChargeLists& lists, const ChargedSubjects& charged,
                     absl::string_view recipient) {
  if (recipient.empty()) return false;
  if (IsNoMailbox(recipient) || !absl::StrContains(recipient, '@')) return true;
  const absl::StatusOr<DomainName> domain = DomainName::OfAddress(recipient);
  if (!domain.ok()) return false;
  if (lists.local_domains.has_value()) return lists.local_domains->Matches(domain->text());
  return lists.hosted.Matches(domain->text()) ||
         std::any_of(charged.begin(), charged.end(), [&](const Charged& one) {
           return one.subject.DomainPart() == domain->text();
         });
}

// What local(8) and virtual(8) get is delivered here, and so is what error(8) refuses for want of a
// mailbox (User unknown in virtual mailbox table, local recipient table, virtual alias table).
bool IsOfPostfixHere(const Attempt& attempt) {
  if (attempt.remote) return false;
  if (attempt.transport == "local" || attempt.transport == "virtual") return true;
  absl::string_view text = attempt.reply;
  return attempt.transport == "error" && absl::ConsumePrefix(&text, "User unknown in ") &&
         (absl::StartsWith(text, "local ") || absl::StartsWith(text, "virtual "));
}

// "Unrouteable address" is what Exim says of an unknown mailbox too: no router took the address.
bool IsVerdictOfDns(const Attempt& attempt, const Classification* answer) {
  return answer != nullptr && answer->reply_class == ReplyClass::kDnsRouting &&
         !absl::StartsWithIgnoreCase(attempt.reply, "unrouteable address");
}

}  // namespace

bool IsLoopbackHost(absl::string_view ip) {
  absl::ConsumePrefix(&ip, "::ffff:");
  return absl::StartsWith(ip, "127.0.0.") || ip == "::1";
}

bool OnThisHost(const ChargeLists& lists, const ChargedSubjects& charged, const Attempt& attempt,
                const Classification* answer) {
  const bool loopback = attempt.host_ip.empty() ? absl::EqualsIgnoreCase(attempt.host, "localhost")
                                                : IsLoopbackHost(attempt.host_ip);
  if (attempt.remote && !loopback) return false;
  if (attempt.outcome == Outcome::kDelivered) return true;
  if (IsVerdictOfDns(attempt, answer)) return false;
  return IsOfPostfixHere(attempt) || IsDeliveredHere(lists, charged, attempt.recipient);
}

}  // namespace deferd
