// libcurl with owners and statuses: a mail over SMTP, a POST over HTTP. Blocking, with time-outs.
//
// InvalidArgument: refused for good, do not send it again. Aborted: this one was refused for now.
// Unavailable: nothing can be sent there now. Safe from any thread.

#ifndef DEFERD_EXPORTER_NOTICE_SEND_H_
#define DEFERD_EXPORTER_NOTICE_SEND_H_

#include <sys/socket.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace deferd {

struct SmtpOptions {
  std::string host;  // HOST:PORT
  std::string helo;
  bool tls = false;  // required and checked; else used, unchecked, where it is offered
  std::string user;
  std::string password;
  absl::Duration timeout = absl::Seconds(15);
  // Of a server on this machine (a loopback address): called before the connection is made, with
  // the address and the port that it comes from. Nobody else can have this port meanwhile.
  std::function<void(const std::string& ip, int port)> on_local;
};
// With the null sender: nobody is told of a bounce, and no bounce is answered.
absl::Status SendMail(const SmtpOptions& options, const std::string& to, const std::string& text);

struct PostOptions {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  bool allow_private = false;        // networks that the internet does not route
  absl::Duration timeout = absl::Seconds(15);
};
// No redirect is followed, no proxy used, certificates are checked.
absl::Status PostJson(const PostOptions& options, const std::string& body);

// Whether the address is of a loopback, private, link-local or otherwise special network.
bool IsPrivateAddress(const sockaddr* address);

// "sha256=HEX" of HMAC-SHA256 over "TIMESTAMP.BODY".
std::string Signature(absl::string_view secret, int64_t timestamp, absl::string_view body);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_SEND_H_
