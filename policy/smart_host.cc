#include "policy/smart_host.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace deferd {

namespace {

bool IsSubmissionPort(int port) { return port == 465 || port == 587; }

bool NamesSmartHost(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  return absl::StrContains(lower, "smarthost") || absl::StrContains(lower, "smart_host") ||
         absl::StrContains(lower, "smart-host");
}

}  // namespace

bool IsSmartHost(const Attempt& attempt) {
  return attempt.remote && (IsSubmissionPort(attempt.port) || NamesSmartHost(attempt.router) ||
                            NamesSmartHost(attempt.transport));
}

bool RefusesOurLogin(const Attempt& attempt, const Classification& answer) {
  if (attempt.outcome == Outcome::kDelivered || !IsSmartHost(attempt)) return false;
  // 530: authentication or STARTTLS required; 534, 535, 538: what AUTH is answered (RFC 4954).
  return answer.reply_class == ReplyClass::kRelayDenied || answer.code == 530 ||
         answer.code == 534 || answer.code == 535 || answer.code == 538;
}

}  // namespace deferd
