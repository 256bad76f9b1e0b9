#include "limiter/app/watchdog.h"

#include <systemd/sd-daemon.h>

#include <cstdint>

#include "limiter/port/log.h"

namespace deferd {

void Watchdog::Start() {
  uint64_t limit_usec = 0;
  if (sd_watchdog_enabled(0, &limit_usec) <= 0) return;
  // One lost beat must not end the daemon.
  const absl::Duration interval = absl::Microseconds(static_cast<int64_t>(limit_usec)) / 3;
  thread_ = std::thread([this, interval] { Run(interval); });
}

Watchdog::~Watchdog() {
  {
    MutexLock lock(&mutex_);
    end_ = true;
  }
  ended_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::Stopping() {
  MutexLock lock(&mutex_);
  stopping_ = true;
}

bool Watchdog::Beat() {
  bool stopping;
  {
    MutexLock lock(&mutex_);
    stopping = stopping_;
  }
  const bool alive = stopping || loop_ == nullptr || loop_->HasTurned();
  if (alive) {
    sd_notify(0, "WATCHDOG=1");
  } else if (!stuck_) {
    spdlog::error("the loop that answers the mail server is stuck; no heartbeat to systemd");
  }
  stuck_ = !alive;
  return alive;
}

void Watchdog::Run(absl::Duration interval) {
  while (true) {
    Beat();
    MutexLock lock(&mutex_);
    if (!end_) ended_.WaitFor(&mutex_, interval);
    if (end_) return;
  }
}

}  // namespace deferd
