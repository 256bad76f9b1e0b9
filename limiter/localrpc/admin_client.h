// Client of the admin protocol: one request, one answer, blocking, with a time limit.

#ifndef DEFERD_LIMITER_LOCALRPC_ADMIN_CLIENT_H_
#define DEFERD_LIMITER_LOCALRPC_ADMIN_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

inline constexpr char kAdminSocket[] = "/run/deferd/admin.sock";
inline constexpr char kReadersSocket[] = "/run/deferd/readers.sock";
// The usual socket for this user: kReadersSocket if only that one lets the user in.
std::string UsualSocket();

// Sends `verb` to the daemon at the unix socket `path` and returns its result. Unavailable if no
// process listens or no answer comes within `limit` (the message says what to check);
// PermissionDenied if the socket cannot be opened; FailedPrecondition carries the daemon's refusal.
absl::StatusOr<Json> CallDaemon(const std::string& path, const std::string& verb, const Json& args,
                                absl::Duration limit);

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_ADMIN_CLIENT_H_
