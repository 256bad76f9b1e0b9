// The HTTP server: /metrics, /healthz and /readyz on loopback, or the API (exporter/api).
//
// The three pages neither show nor change a domain's data: on shared hosting any user can connect
// to loopback. Runs libevent's evhttp on a thread of its own; timeouts and limits on header and
// body size protect it against slow and silent clients. Handlers run on that thread, and what may
// take long on a few others, shared fairly between the tokens (work_pool.h), so that nobody waits
// for another's search. A connection serves one request, so bytes smuggled behind it are never read
// as another.

#ifndef DEFERD_EXPORTER_HTTP_SERVER_H_
#define DEFERD_EXPORTER_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "exporter/bell.h"
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
  std::string origin;   // likewise, of browsers that do not say the former; "" if it says neither
  std::string host;     // what the browser asked for: X-Forwarded-Host, else Host
  bool secure = false;  // the proxy says that it was asked over TLS
};

struct HttpReply {
  int code = 200;
  std::string reason = "OK";
  std::string type;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // A reply that goes on: called about every second, and when the bell rings, for what comes next
  // ("": nothing now), until it returns nullopt or the client is gone. `body` is not used then.
  std::function<std::optional<std::string>()> next;
  // A reply that takes time: called once, on another thread; its reply takes the place of this one.
  std::function<HttpReply()> work;
  // The reply in place of one that took too long. `begun`: it goes on, and what it does will be
  // done; otherwise nothing was done, and nothing will be.
  std::function<HttpReply(bool begun)> late;
  // Whose stream or work it is, of those that share them fairly.
  std::string owner;
};

struct HttpHandlers {
  std::function<std::string()> metrics;
  // Empty: ready. Otherwise the reasons, one per line (answered 503).
  std::function<std::string()> not_ready;
  // Answers all requests in place of the pages; the two above are not used then. HEAD arrives as
  // GET. Who asks is checked by the handler alone, so the Host header may be a proxy's.
  std::function<HttpReply(const HttpRequest&)> api;
  // How long `work` may take, from the request on.
  absl::Duration patience = absl::Seconds(30);
  // Makes all streams look for what is new; null: none does.
  std::shared_ptr<const Bell> bell;
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
