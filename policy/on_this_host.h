// Whether an attempt is mail for this host itself, as for a mailbox here, rather than mail for
// somebody else. The one rule for Exim and Postfix:
//   delivered   on this host if no other host is named, or one on loopback: an LMTP server of our
//               own, or a filter whose hand-back the log does not show.
//   otherwise   a host that is named and not on loopback is another one. Without such a host, the
//               recipient's domain decides: it must be one that this MTA delivers here. That is
//               [charge] local_domains, or if that is not set, the hosted and the charged domains.
// A domain that DNS does not know or gives no mail server for is never delivered here: the MTA
// would not have looked it up. Nothing is learned from earlier lines, so that equal lines give
// equal counts.
//
// Pure.

#ifndef DEFERD_POLICY_ON_THIS_HOST_H_
#define DEFERD_POLICY_ON_THIS_HOST_H_

#include "absl/strings/string_view.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/reply/classify.h"

namespace deferd {

// 127.0.0.x, ::1 and their mapped forms. The rest of 127/8 is given by hand, to services that stand
// for another host.
bool IsLoopbackHost(absl::string_view ip);

// `answer`: what the reply means, null for a delivery.
bool OnThisHost(const ChargeLists& lists, const ChargedSubjects& charged, const Attempt& attempt,
                const Classification* answer);

}  // namespace deferd

#endif  // DEFERD_POLICY_ON_THIS_HOST_H_
