// The HTTP server, on loopback: /metrics, /healthz, /readyz.
//
// It neither shows nor changes a domain's data: on shared hosting any user can connect to loopback.
// Runs libevent's evhttp on a thread of its own; timeouts and limits on header and body size
// protect it against slow and silent clients. Handlers run on that thread.

#ifndef DEFERD_EXPORTER_HTTP_SERVER_H_
#define DEFERD_EXPORTER_HTTP_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/port/listener.h"

namespace deferd {

struct HttpHandlers {
  std::function<std::string()> metrics;
  // Empty: ready. Otherwise the reasons, one per line (answered 503).
  std::function<std::string()> not_ready;
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
