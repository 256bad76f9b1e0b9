// The HTTP server: /metrics, /healthz and /readyz on loopback, or the API (exporter/api).
//
// The three pages neither show nor change a domain's data: on shared hosting any user can connect
// to loopback. Runs libevent's evhttp on a thread of its own; timeouts and limits on header and
// body size protect it against slow and silent clients. Handlers run on that thread. A connection
// serves one request, so bytes smuggled behind it are never read as another.

#ifndef DEFERD_EXPORTER_HTTP_SERVER_H_
#define DEFERD_EXPORTER_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/port/listener.h"

namespace deferd {

struct HttpRequest {
  std::string method = "GET";
  std::string path;   // as sent: percent-encoded
  std::string query;  // likewise; "" without one
  std::string authorization;
  std::string content_type;  // without parameters
  std::string body;
  std::string accept;
  std::string cookie;
  std::string last_event_id;
  std::string fetch_site;  // Sec-Fetch-Site: where the browser says that the request comes from
  bool secure = false;     // the proxy says that it was asked over TLS
};

struct HttpReply {
  int code = 200;
  std::string reason = "OK";
  std::string type;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // A reply that goes on: called about every second for what comes next ("": nothing now), until
  // it returns nullopt or the client is gone. `body` is not used then.
  std::function<std::optional<std::string>()> next;
};

struct HttpHandlers {
  std::function<std::string()> metrics;
  // Empty: ready. Otherwise the reasons, one per line (answered 503).
  std::function<std::string()> not_ready;
  // Answers all requests in place of the pages; the two above are not used then. HEAD arrives as
  // GET. Who asks is checked by the handler alone, so the Host header may be a proxy's.
  std::function<HttpReply(const HttpRequest&)> api;
};

class HttpServer {
 public:
  // Serves on all of `listeners`, at least one, until destroyed. Unavailable if libevent fails.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(std::vector<Listener> listeners,
                                                           HttpHandlers handlers);
  virtual ~HttpServer() = default;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_HTTP_SERVER_H_
