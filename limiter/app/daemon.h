// The daemon: all parts of deferd connected, without main().
//
// Start opens every socket and begins to follow the logs on threads of its own. Run waits for
// signals on the calling thread: SIGHUP reloads; SIGTERM and SIGINT stop the daemon in order
// (sockets closed, pending answers written, lines already read counted).

#ifndef DEFERD_LIMITER_APP_DAEMON_H_
#define DEFERD_LIMITER_APP_DAEMON_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/config/config.h"

namespace deferd {

inline constexpr char kVersion[] = DEFERD_VERSION;

class Daemon {
 public:
  // SIGHUP, SIGTERM and SIGINT must be blocked in all threads before the call. Errors are texts for
  // the operator. A damaged state is an error unless `set_aside` allows renaming it; the counts are
  // then read from the logs again.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(Config config, bool set_aside);
  virtual ~Daemon() = default;

  // Returns after SIGTERM or SIGINT.
  virtual void Run() = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_DAEMON_H_
