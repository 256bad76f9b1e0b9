// Answers requests to `/api/v1`: finds the token and the resource, reads the parameters and calls
// the verb through the Caller, which decides what the token may do and see. No sockets: HttpServer
// (exporter/http_server.h) carries it.
//
// Errors are RFC 9457 problems. Each token may send TokenRates::kRate requests a second; failures
// without a valid token are slowed down for all together, which never stops a valid token. Not
// thread-safe: called on the HTTP server's thread; what calls a verb is left to a worker
// (HttpReply::work).

#ifndef DEFERD_EXPORTER_API_WEB_API_H_
#define DEFERD_EXPORTER_API_WEB_API_H_

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "exporter/api/caller.h"
#include "exporter/api/late_results.h"
#include "exporter/api/rate.h"
#include "exporter/api/token_book.h"
#include "exporter/http_server.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"

namespace deferd {

class WebApi {
 public:
  struct Parts {
    const TokenBook* tokens = nullptr;
    const Clock* clock = nullptr;
    const Caller* caller = nullptr;
    std::string version;
  };

  explicit WebApi(Parts parts);

  HttpReply Answer(const HttpRequest& request);

 private:
  HttpReply AnswerToken(const HttpRequest& request, const Token& token);
  HttpReply StreamEvents(const HttpRequest& request, const Token& token, const Json& args) const;
  HttpReply RefuseStranger(const HttpRequest& request);
  HttpReply AnswerLate(const std::string& id, const HttpRequest& request, const Token& token);
  HttpReply LateAct(const Token& token, const std::shared_ptr<const LateOutcome>& outcome);
  void LogExpired(const Token& token, absl::Time now);

  const Parts parts_;
  TokenRates rates_;
  StrangerRates strangers_;
  LateResults late_;
  absl::flat_hash_map<std::string, absl::Time> expired_;  // by token: when its use was last logged
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_WEB_API_H_
