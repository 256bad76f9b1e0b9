// Whether an attempt delivers mail on this host, for example to a local mailbox, rather than to
// another host. One rule for Exim and Postfix:
//   delivered   on this host if no other host is named, or a loopback host:
//               a local LMTP server, or a filter whose returned message
//               the log does not show.
//   otherwise   a named host that is not loopback is another host.
//               Without such a host the recipient's
//               domain decides: it must be one that this MTA delivers here, according to [charge]
//               local_domains or, if that is not set, the hosted and the charged domains.
// A domain that DNS does not know, or that has no mail server, is never delivered here: the MTA
// would not have looked it up. Earlier lines have no influence, so equal lines give equal counts.
//
// Pure.

#ifndef DEFERD_POLICY_ON_THIS_HOST_H_
#define DEFERD_POLICY_ON_THIS_HOST_H_

#include "absl/strings/string_view.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/reply/classify.h"

namespace deferd {

// 127.0.0.x, ::1 and their mapped forms. Operators assign other addresses of 127/8 to services that
// stand for another host.
bool IsLoopbackHost(absl::string_view ip);

// `answer`: the meaning of the reply; null for a delivery.
bool OnThisHost(const ChargeLists& lists, const ChargedSubjects& charged, const Attempt& attempt,
                const Classification* answer);

}  // namespace deferd

#endif  // DEFERD_POLICY_ON_THIS_HOST_H_
