// Which attempts are shown but do not count, and why.

#ifndef DEFERD_POLICY_LEFT_OUT_H_
#define DEFERD_POLICY_LEFT_OUT_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "policy/attempt.h"
#include "policy/charge.h"

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
};
inline constexpr int kLeftOutReasons = 10;

// "own refusal", "late", ...
absl::string_view LeftOutName(LeftOut reason);

// What the attempt alone tells; the others from kLate on are the limiter's. A bare expiry
// ("retry timeout exceeded") names no host, so it takes after the recipient's last attempt:
// `previous` is what that one was (kCounts if there was none).
LeftOut WhyLeftOut(const ChargeLists& lists, const Attempt& attempt, LeftOut previous);

// Whether `reply` holds the sentence with which deferd itself refuses mail, here or on another
// node; also behind SMTP codes, and where the MTA wrapped it over several lines of a reply. Linear
// time. A policy's own `text` is not recognised: locally it is left out as a delivery without a
// remote host, and other nodes belong into internal_hosts.
bool IsOwnRefusal(absl::string_view reply);

}  // namespace deferd

#endif  // DEFERD_POLICY_LEFT_OUT_H_
