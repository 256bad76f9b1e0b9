// Which attempts are shown but do not count, and why.

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
  kCounts,         // nothing: it counts
  kNobodyCharged,  // arrival unknown, mail from outside, nobody proven
  kMadeByMta,      // a bounce of the MTA's own
  kNoRemoteHost,   // a delivery on this host
  kInternalHost,   // handed over to another host of ours
  kOwnRefusal,     // deferd's own sentence came back as a failure
  kLate,           // before the live window
  kFuture,         // more than five minutes after the clock
  kReplyClass,     // the policy leaves out answers of this class
  kIncident,       // our server or the destination is in trouble, not the sender
  kUnclear,        // a filter may have handed back somebody else's mail (Identity::unclear)
};
inline constexpr int kLeftOutReasons = 11;

// "own refusal", "late", ...
absl::string_view LeftOutName(LeftOut reason);

// What is known of an attempt besides itself.
struct AttemptContext {
  const ChargedSubjects& charged;
  const Classification* answer = nullptr;  // what the reply means; null for a delivery
  LeftOut previous = LeftOut::kCounts;     // of the recipient's last attempt; kCounts if none
};

// Which of the reasons before kLate applies; the others are the limiter's. A bare expiry ("retry
// timeout exceeded") names no host, so it takes after the recipient's last attempt. Profile cpanel
// counts deliveries on this host, as [charge] local does.
LeftOut WhyLeftOut(const ChargeLists& lists, const Policy& policy, const Attempt& attempt,
                   const AttemptContext& context);

// Whether deferd itself refused this, or another node of ours did. Where the text was made comes
// first: here, which is to say that no other host is named (a router, an ACL, a filter); at a host
// in internal_hosts; by Postfix's transport for what is put off (deploy/postfix/held.cf). Only
// there the text is looked at: anybody can have a remote server say our sentence.
bool IsOwnRefusal(const ChargeLists& lists, const Policy& policy, const Attempt& attempt);

}  // namespace deferd

#endif  // DEFERD_POLICY_LEFT_OUT_H_
