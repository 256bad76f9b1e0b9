// What became of acts that took longer than their clients could wait (answered 202): each has an
// address, for the token that asked for it.
//
// In memory alone: a restart forgets them. Not thread-safe, but for LateOutcome.

#ifndef DEFERD_EXPORTER_API_LATE_RESULTS_H_
#define DEFERD_EXPORTER_API_LATE_RESULTS_H_

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "exporter/api/token_book.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/mutex.h"

namespace deferd {

// The result of one act, set by the worker that carries it out. Safe from any thread.
class LateOutcome {
 public:
  // `code`: the status that a client in time would have got; `body`: what it would have read.
  void Set(int code, std::string body) {
    MutexLock lock(&mutex_);
    result_ = {code, std::move(body)};
  }
  std::optional<std::pair<int, std::string>> Get() const {
    MutexLock lock(&mutex_);
    return result_;
  }
  // Bytes of the body; 0 while it runs.
  size_t size() const {
    MutexLock lock(&mutex_);
    return result_.has_value() ? result_->second.size() : 0;
  }

 private:
  mutable Mutex mutex_;
  std::optional<std::pair<int, std::string>> result_ ABSL_GUARDED_BY(mutex_);
};

class LateResults {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;  // setting the clock forgets nothing

  // The oldest are forgotten: of more than these, but never the newest, ...
  static constexpr size_t kMost = 1000;
  static constexpr size_t kMostBytes = 16 << 20;
  // ... and that long after the client was answered 202.
  static constexpr std::chrono::seconds kKept = std::chrono::hours(1);

  // Returns the id under which the token finds the outcome; "" if the kernel gives no random bytes.
  std::string Add(const Token& token, std::shared_ptr<const LateOutcome> outcome, TimePoint now);

  // {"id", "status": "running", "done" or "failed", "code", "result"}. nullopt: there is none, it
  // is of another token, or the token may do something else than then.
  std::optional<Json> Find(absl::string_view id, const Token& token, TimePoint now);

 private:
  struct Late {
    std::string id;
    Token token;
    std::shared_ptr<const LateOutcome> outcome;
    TimePoint since;
  };
  void ForgetOld(TimePoint now);

  std::deque<Late> all_;  // oldest first
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_LATE_RESULTS_H_
