// deferctl's end of the admin protocol: one request, one answer, blocking, with a time limit.

#ifndef DEFERD_LIMITER_LOCALRPC_ADMIN_CLIENT_H_
#define DEFERD_LIMITER_LOCALRPC_ADMIN_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// The result of `verb` from the daemon behind the unix socket at `path`. Unavailable if nobody
// listens there or it does not answer within `limit` (the message says what to look at);
// PermissionDenied if the socket may not be opened; FailedPrecondition carries the daemon's own
// refusal.
absl::StatusOr<Json> AskDaemon(const std::string& path, const std::string& verb, const Json& args,
                               absl::Duration limit);

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_ADMIN_CLIENT_H_
