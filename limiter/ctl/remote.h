// deferctl's calls to a deferd on another machine, by its HTTP API, with a token.
//
// An act that takes longer than the API waits is answered 202 with an address: its result is read
// from there until it is known, for kLateLimit at most.
//
// A verb and its arguments, as the admin socket takes them, become a request to a resource of the
// API; the answer is the same JSON. Arguments that say nothing ("", false, null) are left out: the
// API refuses what it does not know. Blocking, with a time limit.

#ifndef DEFERD_LIMITER_CTL_REMOTE_H_
#define DEFERD_LIMITER_CTL_REMOTE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

struct RemoteDaemon {
  std::string url;         // "https://mail.example.net"; empty: none
  std::string token_file;  // its first line is the token
  std::string ca_file;     // who may have signed the certificate; empty: the system's authorities
  // Told once, before it waits for a late result, where that will be; may be empty.
  std::function<void(const std::string& text)> waits;
};

inline constexpr absl::Duration kLateLimit = absl::Minutes(10);

struct RemoteRequest {
  std::string method;
  std::string path;  // with its query
  std::string body;  // of a POST
};

// Whether the API has what the verb needs.
bool IsRemoteVerb(absl::string_view verb);

// InvalidArgument for what only the server itself answers.
absl::StatusOr<RemoteRequest> RemoteRequestOf(const std::string& verb, const Json& args);

// As CallDaemon; the API gets somewhat more than `limit`, so that it can answer that something
// takes long. PermissionDenied: the token is unknown, or its role or domains do not allow this.
absl::StatusOr<Json> CallRemote(const RemoteDaemon& daemon, const std::string& verb,
                                const Json& args, absl::Duration limit);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_REMOTE_H_
