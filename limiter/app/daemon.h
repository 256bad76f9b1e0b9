// The daemon: all parts of deferd wired together, without main().
//
// Start opens every door and begins to follow the logs; from then on threads do their roles. Run
// waits for signals on the calling thread: SIGHUP reloads, SIGTERM and SIGINT end it in order
// (doors closed, answers begun are written, lines read are counted).

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
  // Signals SIGHUP, SIGTERM and SIGINT must be blocked in all threads before. The errors are for
  // the operator.
  // A damaged state is an error, unless `set_aside` says that it may be moved away: then the counts
  // are read from the logs anew.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(Config config, bool set_aside);
  virtual ~Daemon() = default;

  // Until SIGTERM or SIGINT.
  virtual void Run() = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_DAEMON_H_
