// The one thread that counts.
//
// Followers hand over batches (they wait while the queue is full, so memory is bounded); the
// recorder counts them in the order they came and commits what they changed, many batches at once
// when many wait; while there is nothing to record it lets the clock end cases. Stopping records
// and commits what is queued first.

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
  // Called on the recorder's thread about every 200 ms, with the number of batches that wait. True:
  // nothing that is in the logs waits to be read, so the clock may end cases.
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
