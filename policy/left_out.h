// Which attempts are shown but not counted, and why.

#ifndef DEFERD_POLICY_LEFT_OUT_H_
#define DEFERD_POLICY_LEFT_OUT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/policy.h"
#include "policy/reply/classify.h"

namespace deferd {

enum class LeftOut : uint8_t {
  kCounts,         // counted
  kNobodyCharged,  // arrival unknown, mail from outside, nobody proven
  kMadeByMta,      // a bounce created by the MTA
  kNoRemoteHost,   // a delivery on this host
  kInternalHost,   // passed to another host of ours
  kOwnRefusal,     // deferd's own refusal, logged as a failure
  kLate,           // before the live window
  kFuture,         // more than five minutes after the clock
  kReplyClass,     // the policy leaves out answers of this class
  kIncident,       // our server or the destination has a problem, not the sender
  kUnclear,        // may be somebody else's mail that a filter handed back (Identity::unclear)
};
inline constexpr int kLeftOutReasons = 11;

// "own refusal", "late", ...
absl::string_view LeftOutName(LeftOut reason);

// Further facts about an attempt.
struct AttemptContext {
  const ChargedSubjects& charged;
  const Classification* answer = nullptr;  // meaning of the reply; null for a delivery
  LeftOut previous = LeftOut::kCounts;     // of the recipient's last attempt; kCounts if none
};

// Which of the reasons before kLate applies; the limiter decides the others. A bare expiry ("retry
// timeout exceeded") names no host, so it takes the reason of the recipient's last attempt. Profile
// cpanel counts deliveries on this host, like [charge] local.
LeftOut WhyLeftOut(const ChargeLists& lists, const Policy& policy, const Attempt& attempt,
                   const AttemptContext& context);

// Whether deferd, here or on another node of ours, refused the message. The origin of the text is
// checked first: this host (no other host is named: a router, an ACL, a filter), a host in
// internal_hosts, or Postfix's transport for deferred mail (deploy/postfix/held.cf). Only then the
// text is compared, because anybody can make a remote server send our sentence.
bool IsOwnRefusal(const ChargeLists& lists, const Policy& policy, const Attempt& attempt);

}  // namespace deferd

#endif  // DEFERD_POLICY_LEFT_OUT_H_
