// The admin protocol: each request is one JSON object on a line, answered by one JSON object on a
// line, in order.
//
//   request  {"verb": "block", "args": {"subject": "example.com", ...}}
//   answer   {"ok": true, "result": ...}
//            {"ok": false, "error": "example.com: no block to end"}
//
// Sans-I/O. A line that exceeds the limits or is not a valid request is answered with an error. The
// connection is closed after an over-long line, and when a client sends requests without reading
// the answers. The limits are checked before the JSON parser runs. The socket's permissions decide
// who may connect; the handler gets the credentials of the peer.

#ifndef DEFERD_LIMITER_LOCALRPC_ADMIN_SESSION_H_
#define DEFERD_LIMITER_LOCALRPC_ADMIN_SESSION_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/socket_server.h"
#include "policy/json_limits.h"

namespace deferd {

// Answers one request. The error message is shown to the person who sent the request.
using AdminHandler =
    std::function<absl::StatusOr<Json>(const std::string& verb, const Json& args, const Peer&)>;

class AdminSession : public Session {
 public:
  static constexpr size_t kMaxLine = 64 << 10;
  // Maximum size of unread answers when another request is answered. One answer may be larger.
  static constexpr size_t kMaxUnread = 1 << 20;

  struct Options {
    JsonLimits limits = {.max_bytes = kMaxLine, .max_depth = 8, .max_values = 16 << 10};
    bool one_request = false;  // close the connection after the first answer
  };

  AdminSession(const Peer& peer, AdminHandler handler, const Options& options)
      : peer_(peer), handler_(std::move(handler)), options_(options) {}
  AdminSession(const Peer& peer, AdminHandler handler)
      : AdminSession(peer, std::move(handler), Options()) {}

  bool OnBytes(absl::string_view bytes, std::string* out) override;
  void OnEnd(std::string* out) override;

 private:
  void Answer(absl::string_view line, std::string* out);

  const Peer peer_;
  const AdminHandler handler_;
  const Options options_;
  std::string partial_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_ADMIN_SESSION_H_
