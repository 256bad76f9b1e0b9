// Answers of a smart host, the server that our own configuration sends mail through. When it asks
// for a login or refuses to relay, our credentials or our routing are at fault, not the sender.
//
// Pure.

#ifndef DEFERD_POLICY_SMART_HOST_H_
#define DEFERD_POLICY_SMART_HOST_H_

#include "policy/attempt.h"
#include "policy/reply/classify.h"

namespace deferd {

// Whether the host that took or refused the message is one: reached on a submission port (RFC 6409,
// RFC 8314), which no MX record leads to, or by an Exim router or transport that says so by name,
// as Debian's smarthost and remote_smtp_smarthost.
bool IsSmartHost(const Attempt& attempt);

// Whether a smart host refused us rather than the message.
bool RefusesOurLogin(const Attempt& attempt, const Classification& answer);

}  // namespace deferd

#endif  // DEFERD_POLICY_SMART_HOST_H_
