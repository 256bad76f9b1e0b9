// The one thread that counts.
//
// Followers submit batches, and wait while the queue is full, so memory is bounded. The recorder
// counts batches in the order of arrival and commits their changes, many batches at once when many
// are waiting. While there is nothing to record it lets the clock end cases. Stop first records and
// commits the queued batches.
//
// Submit, TrySubmit and pending are safe from any thread. The constructor starts the thread; Stop
// and the destructor must be called by one thread, and a later Submit returns false.

#ifndef DEFERD_LIMITER_RECORDER_H_
#define DEFERD_LIMITER_RECORDER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "limiter/committer.h"
#include "limiter/port/bounded_queue.h"
#include "policy/attempt.h"

namespace deferd {

class Recorder {
 public:
  // Called on the recorder's thread about every 200 ms, with the number of waiting batches. Returns
  // true if the logs are read to their end, so that the clock may end cases.
  using Tick = std::function<bool(size_t pending)>;

  // `committer` must outlive the recorder.
  Recorder(Committer* committer, Tick tick);
  ~Recorder();

  // From any follower's thread; waits while the queue is full. False once stopped.
  bool Submit(std::unique_ptr<EventBatch> batch);
  // From a thread that must not wait: false while the queue is full.
  bool TrySubmit(std::unique_ptr<EventBatch> batch);

  // Records what was submitted, then ends the thread.
  void Stop();

  // Batches waiting or being recorded.
  size_t pending() const { return pending_.load(); }

 private:
  void Run();

  Committer* const committer_;
  const Tick tick_;
  BoundedQueue<std::unique_ptr<EventBatch>> queue_;
  std::atomic<size_t> pending_{0};
  std::thread thread_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_RECORDER_H_
