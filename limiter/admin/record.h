// Attempts of an MTA whose log deferd does not read: one JSON object each, by `deferctl record`.
//
//   {"id": "q17", "time": "2026-11-22T08:00:00Z", "login": "bob@example.com",
//    "sender": "bob@example.com", "recipient": "ann@far.example", "outcome": "failed",
//    "host": "mx.far.example", "ip": "198.51.100.9", "reply": "550 5.1.1 No such user here"}
//
// Required: id (the message's, the same for each of its attempts), recipient, outcome (delivered,
// deferred, failed, expired; or, shown and never counted: queued, held, rejected, discarded,
// filtered, archived). Besides: time (RFC 3339; without it, now), arrival (if ids are used
// again), sender, login, user (a local system user), client (the IP address that submitted it),
// original (the recipient before forwarding), host, ip, transport, reply, local (true: a delivery
// on this host), made_by_mta, completed (true: nothing more comes of this message). Pure.

#ifndef DEFERD_LIMITER_ADMIN_RECORD_H_
#define DEFERD_LIMITER_ADMIN_RECORD_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "policy/attempt.h"

namespace deferd {

// Adds what `record` tells to `batch`. InvalidArgument says which field is wrong and how.
absl::Status AddRecord(const Json& record, absl::Time now, EventBatch* batch);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_RECORD_H_
