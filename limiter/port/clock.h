// The time of day, passed in as an object.
//
// Counting uses the times printed in the log. The clock only detects times that are too far in the
// future, ends cases and dates output. This is the only file that reads the system clock.

#ifndef DEFERD_LIMITER_PORT_CLOCK_H_
#define DEFERD_LIMITER_PORT_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace deferd {

// Safe to call from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

// A clock that tests set by hand.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time now) : micros_(absl::ToUnixMicros(now)) {}
  absl::Time Now() const override { return absl::FromUnixMicros(micros_.load()); }
  void Set(absl::Time now) { micros_.store(absl::ToUnixMicros(now)); }
  void Advance(absl::Duration by) { micros_.fetch_add(absl::ToInt64Microseconds(by)); }

 private:
  std::atomic<int64_t> micros_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_CLOCK_H_
