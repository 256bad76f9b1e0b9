// The admin protocol: one JSON object a line, answered by one JSON object a line, in order.
//
//   request  {"verb": "block", "args": {"subject": "example.com", ...}}
//   answer   {"ok": true, "result": ...}  or  {"ok": false, "error": "example.com: no block to
//   end"}
//
// Sans-I/O. A line over kMaxLine (or what it was told), or one that is no such object, is answered
// with an error; the connection ends after an over-long one. Who may connect is decided by the
// socket's permissions; who did is known from the peer's credentials and handed to the handler.

#ifndef DEFERD_LIMITER_ADMIN_ADMIN_SESSION_H_
#define DEFERD_LIMITER_ADMIN_ADMIN_SESSION_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/admin/json.h"
#include "limiter/port/socket_server.h"

namespace deferd {

// Answers one request; an error's message goes to the person.
using AdminHandler =
    std::function<absl::StatusOr<Json>(const std::string& verb, const Json& args, const Peer&)>;

class AdminSession : public Session {
 public:
  static constexpr size_t kMaxLine = 64 << 10;

  AdminSession(const Peer& peer, AdminHandler handler, size_t max_line = kMaxLine)
      : peer_(peer), handler_(handler), max_line_(max_line) {}

  bool OnBytes(absl::string_view bytes, std::string* out) override;
  void OnEnd(std::string* out) override;

 private:
  void Answer(absl::string_view line, std::string* out);

  const Peer peer_;
  const AdminHandler handler_;
  const size_t max_line_;
  std::string partial_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_ADMIN_SESSION_H_
