// Recognises replies of a smart host, the server through which our configuration sends all mail. If
// it requires a login or refuses to relay, our credentials or routing are wrong, not the sender's
// mail.
//
// Pure.

#ifndef DEFERD_POLICY_SMART_HOST_H_
#define DEFERD_POLICY_SMART_HOST_H_

#include "policy/attempt.h"
#include "policy/reply/classify.h"

namespace deferd {

// Whether the host of the attempt is a smart host: reached on a submission port (RFC 6409, RFC
// 8314), which no MX record leads to, or through an Exim router or transport with a name for that,
// such as Debian's smarthost and remote_smtp_smarthost.
bool IsSmartHost(const Attempt& attempt);

// Whether a smart host refused our server rather than the message.
bool RefusesOurLogin(const Attempt& attempt, const Classification& answer);

}  // namespace deferd

#endif  // DEFERD_POLICY_SMART_HOST_H_
