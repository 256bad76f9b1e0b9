// Why deferd cannot vouch for its answers right now.
//
// A pass is `unchecked` while at least one cause holds: a log is read with a lag, a log cannot be
// read, ... There is one value for the whole daemon; log, metrics and `deferctl` show the causes in
// the same words. Safe from any thread: mutex_ guards the state; unchecked_ is written with mutex_
// held and read without.

#ifndef DEFERD_LIMITER_CASES_FRESHNESS_H_
#define DEFERD_LIMITER_CASES_FRESHNESS_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"

namespace deferd {

class Freshness {
 public:
  struct State {
    std::vector<std::string> causes;  // empty: all is known
    absl::Time since;                 // when the first of them began
  };

  // At the start nothing is known.
  explicit Freshness(absl::Time now) : state_{{"starting: the logs are not read yet"}, now} {}

  // Replaces the causes. True if they became none, or any from none: worth a log line.
  bool Set(std::vector<std::string> causes, absl::Time now) {
    MutexLock lock(&mutex_);
    const bool turned = causes.empty() != state_.causes.empty();
    if (turned) state_.since = now;
    state_.causes = std::move(causes);
    unchecked_.store(!state_.causes.empty(), std::memory_order_relaxed);
    return turned;
  }

  bool unchecked() const { return unchecked_.load(std::memory_order_relaxed); }

  State Get() const {
    MutexLock lock(&mutex_);
    return state_;
  }

 private:
  mutable Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> unchecked_{true};
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_FRESHNESS_H_
