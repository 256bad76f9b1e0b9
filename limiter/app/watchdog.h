// The heartbeat for systemd's WatchdogSec= (sd_watchdog_enabled(3)).
//
// It reports "alive" while the loop that answers the mail server makes its turns. Waiting for the
// disk, for Redis or for a reload is alive, because the answers do not wait for them; a loop that
// is stuck in an answer is not, and systemd starts the daemon anew. The heartbeat has a thread of
// its own, so that neither the loop nor a slow service manager can delay the other.

#ifndef DEFERD_LIMITER_APP_WATCHDOG_H_
#define DEFERD_LIMITER_APP_WATCHDOG_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"
#include "limiter/port/socket_server.h"

namespace deferd {

class Watchdog {
 public:
  // `loop`: null where no mail server asks; the process alone is watched then. Must outlive this
  // object.
  explicit Watchdog(SocketServer* loop) : loop_(loop) {}
  ~Watchdog();

  // Begins the heartbeat if the service manager wants one.
  void Start();

  // The loop ends on purpose: from now on the time limit for stopping applies (TimeoutStopSec=).
  void Stopping();

  // One beat; false and no heartbeat if the loop has not made a turn since the last. For tests.
  bool Beat();

 private:
  void Run(absl::Duration interval);

  SocketServer* const loop_;
  Mutex mutex_;
  CondVar ended_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool end_ ABSL_GUARDED_BY(mutex_) = false;
  bool stuck_ = false;  // as logged; confined to the caller of Beat
  std::thread thread_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_WATCHDOG_H_
