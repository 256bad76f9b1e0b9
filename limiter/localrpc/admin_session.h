// The admin protocol: one JSON object a line, answered by one JSON object a line, in order.
//
//   request  {"verb": "block", "args": {"subject": "example.com", ...}}
//   answer   {"ok": true, "result": ...}  or  {"ok": false, "error": "example.com: no block to
//   end"}
//
// Sans-I/O. A line that exceeds the limits, or that is no such object, is answered with an error;
// the connection ends after an over-long one, and when a client sends requests without reading
// answers. The limits are checked before a parser sees the line. Who may connect is decided by the
// socket's permissions; who did is known from the peer's credentials and handed to the handler.

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

// Answers one request; an error's message goes to the person.
using AdminHandler =
    std::function<absl::StatusOr<Json>(const std::string& verb, const Json& args, const Peer&)>;

class AdminSession : public Session {
 public:
  static constexpr size_t kMaxLine = 64 << 10;
  // Answers that wait to be read when a further request is answered. One answer may be larger.
  static constexpr size_t kMaxUnread = 1 << 20;

  struct Options {
    JsonLimits limits = {.max_bytes = kMaxLine, .max_depth = 8, .max_values = 16 << 10};
    bool one_request = false;  // the connection ends with its first answer
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
