// The web console: pages for people, at every path but the API's.
//
// Serves HTML that is complete without script; console.js only refreshes the page when something
// changed. People log in with a token of the API; what they see and may do is decided where the API
// decides it (exporter/api/caller.h), in the token's name. No sockets: HttpServer carries it.
//
// A form is taken only from a page of this session: it carries the session's secret, the cookie is
// SameSite=Strict, and a browser that says the form is another site's is refused. The log-in's form
// has a secret and a cookie of its own. Not thread-safe: used on the HTTP server's thread; pages
// are left to its workers (HttpReply::work).

#ifndef DEFERD_EXPORTER_CONSOLE_CONSOLE_H_
#define DEFERD_EXPORTER_CONSOLE_CONSOLE_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "exporter/api/caller.h"
#include "exporter/api/rate.h"
#include "exporter/api/token_book.h"
#include "exporter/console/page.h"
#include "exporter/console/sessions.h"
#include "exporter/http_server.h"
#include "limiter/port/clock.h"

namespace deferd {

class Console {
 public:
  struct Parts {
    const TokenBook* tokens = nullptr;
    const Clock* clock = nullptr;
    const Caller* caller = nullptr;
  };

  explicit Console(Parts parts);

  HttpReply Answer(const HttpRequest& request);

 private:
  HttpReply AnswerAnyone(const HttpRequest& request);
  HttpReply Login(const HttpRequest& request);
  HttpReply Live(const std::string& id, const std::string& owner, absl::Time now);
  HttpReply AnswerForm(const HttpRequest& request, const Visitor& visitor);
  void EndRevoked();

  const Parts parts_;
  Sessions sessions_;
  int64_t tokens_version_ = 0;  // of the tokens that the sessions were compared with
  TokenRates rates_;
  StrangerRates failures_;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_CONSOLE_H_
