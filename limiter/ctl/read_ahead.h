// Reads a replay's logs some hundred events ahead, on a thread of its own: reading and counting use
// a core each. The events and their order are ReplayInput's.
//
// Used by one thread, which calls Next until it returns false or an error.

#ifndef DEFERD_LIMITER_CTL_READ_AHEAD_H_
#define DEFERD_LIMITER_CTL_READ_AHEAD_H_

#include <cstddef>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/ctl/replay_input.h"
#include "limiter/port/bounded_queue.h"
#include "policy/attempt.h"

namespace deferd {

class ReadAhead {
 public:
  // `input` must outlive this object, and is this object's alone until the last Next.
  explicit ReadAhead(ReplayInput* input);
  // Waits until the read that is under way returns.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // As ReplayInput::Next.
  absl::StatusOr<bool> Next(EventBatch* batch);

  double done() const { return chunk_.done; }  // of what Next has returned; 0 to 1

 private:
  // What goes from one thread to the other at a time, and comes back to be filled again.
  struct Chunk {
    std::vector<EventBatch> batches;
    size_t size = 0;      // batches of this time
    absl::Status status;  // of reading the last of them
    bool more = true;     // false: it was the last of all
    double done = 0;
  };

  void Read();
  void Fill(Chunk* chunk);

  ReplayInput* const input_;  // the thread's, until it has ended
  BoundedQueue<Chunk> full_;
  BoundedQueue<Chunk> empty_;

  // Used by the caller of Next only.
  Chunk chunk_;
  size_t next_ = 0;  // batch of chunk_

  std::thread thread_;  // the last field: it uses the others
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_READ_AHEAD_H_
