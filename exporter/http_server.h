// The HTTP door, on loopback: /metrics, /healthz, /readyz.
//
// Nothing here shows or changes a domain's data: on shared hosting loopback is full of strangers.
// Runs libevent's evhttp on a thread of its own; slow and silent clients are bounded by time-outs,
// header and body sizes. Handlers are called on that thread.

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
  // Empty: ready. Else what is missing, one a line (answered 503).
  std::function<std::string()> not_ready;
};

class HttpServer {
 public:
  // Serves on all of `listeners`, at least one, until destroyed. Unavailable if libevent refuses.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(std::vector<Listener> listeners,
                                                           HttpHandlers handlers);
  virtual ~HttpServer() = default;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_HTTP_SERVER_H_
