// Answers requests to `/api/v1`: finds the resource, checks the token, its role and its scope,
// calls the verb and filters the answer. No sockets: HttpServer (exporter/http_server.h) carries
// it.
//
// Errors are RFC 9457 problems. Each token may send kRate requests a second; failures without a
// valid token are slowed down for all together, which never stops a valid token. Not thread-safe:
// called on the HTTP server's thread.

#ifndef DEFERD_EXPORTER_API_WEB_API_H_
#define DEFERD_EXPORTER_API_WEB_API_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "exporter/api/resources.h"
#include "exporter/api/token_book.h"
#include "exporter/http_server.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"

namespace deferd {

class WebApi {
 public:
  static constexpr double kRate = 20;  // requests a second
  static constexpr double kBurst = 40;
  static constexpr int64_t kMaxPage = 1000;

  // Calls a verb in the name of `person`, "token:NAME".
  using Call = std::function<absl::StatusOr<Json>(const std::string& verb, const Json& args,
                                                  const std::string& person)>;

  struct Parts {
    const TokenBook* tokens = nullptr;
    const Clock* clock = nullptr;
    Call call;
    std::string version;
  };

  explicit WebApi(Parts parts) : parts_(std::move(parts)) {}

  HttpReply Answer(const HttpRequest& request);

 private:
  // A full bucket allows kBurst requests at once.
  struct Bucket {
    double level = kBurst;
    absl::Time at = absl::InfinitePast();
    bool Take(absl::Time now);
  };

  HttpReply AnswerToken(const HttpRequest& request, const Token& token);
  absl::StatusOr<Json> Run(const Resource& resource, const std::string& subject_text,
                           const HttpRequest& request, const Token& token);

  const Parts parts_;
  absl::flat_hash_map<std::string, Bucket> buckets_;  // by token's name; at most kMaxTokens
  Bucket strangers_;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_WEB_API_H_
