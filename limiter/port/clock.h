// The time of day, and the time that passes, passed in as an object.
//
// Counting uses the times printed in the log. The clock only detects times that are too far in the
// future, ends cases and dates output. This is the only file that reads the system clock.
//
// The time of day may be set at any moment, by hours. Whatever waits, gives up after a while or is
// repeated goes by Elapsed().

#ifndef DEFERD_LIMITER_PORT_CLOCK_H_
#define DEFERD_LIMITER_PORT_CLOCK_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace deferd {

// Safe to call from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  // The time since some moment of this machine. Setting the time of day does not change it.
  virtual absl::Duration Elapsed() const = 0;
};

class SystemClock : public Clock {
 public:
  // To the microsecond, as stores keep times: what is read back is what was written.
  absl::Time Now() const override { return absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())); }
  absl::Duration Elapsed() const override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

// A clock that tests set by hand.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time now) : micros_(absl::ToUnixMicros(now)) {}
  absl::Time Now() const override { return absl::FromUnixMicros(micros_.load()); }
  absl::Duration Elapsed() const override { return absl::Microseconds(elapsed_.load()); }
  // Time passes, until `now` unless that is over.
  void Set(absl::Time now) {
    const int64_t before = micros_.exchange(absl::ToUnixMicros(now));
    elapsed_.fetch_add(std::max<int64_t>(0, absl::ToUnixMicros(now) - before));
  }
  void Advance(absl::Duration by) { Set(Now() + by); }
  // Somebody sets the time of day.
  void Step(absl::Duration by) { micros_.fetch_add(absl::ToInt64Microseconds(by)); }

 private:
  std::atomic<int64_t> micros_;
  std::atomic<int64_t> elapsed_{0};
};

// Whether less than `span` has passed between `since` and `now`, two times of day. No if the clock
// was set back meanwhile: what is to be repeated after a while is repeated rather too early.
inline bool Within(absl::Time since, absl::Duration span, absl::Time now) {
  return since <= now && now - since < span;
}

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_CLOCK_H_
