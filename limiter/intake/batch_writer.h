// The common part of all followers: passes lines to the reader, collects the events in batches,
// gives each batch to the sink with the position after its last line, and keeps the status.
//
// Used by the follower's thread, except status() and Stop(), which are safe from any thread.

#ifndef DEFERD_LIMITER_INTAKE_BATCH_WRITER_H_
#define DEFERD_LIMITER_INTAKE_BATCH_WRITER_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/follower.h"
#include "limiter/intake/log_reader.h"
#include "limiter/intake/read_tally.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "policy/attempt.h"
#include "policy/log_position.h"

namespace deferd {

class BatchWriter {
 public:
  struct Options {
    std::string source;
    size_t batch_events = 1000;
    std::optional<LogPosition> resume;
  };
  BatchWriter(const Options& options, std::unique_ptr<LogReader> reader, const Clock* clock,
              Follower::Sink sink);
  BatchWriter(const BatchWriter&) = delete;
  BatchWriter& operator=(const BatchWriter&) = delete;
  ~BatchWriter();

  LogReader* reader() { return reader_.get(); }

  // A line, one that was too long to read, and one that is no business of this reader.
  void TakeLine(absl::string_view line);
  void SkipLine();
  void SkipForeign();
  // Time to Flush.
  bool full() const { return batch_ != nullptr && batch_->size() >= options_.batch_events; }
  // Gives what was collected to the sink, and the position if it has moved. `where`: files or
  // cursor after the last line taken; the rest is added here.
  void Flush(LogPosition where);

  // The status.
  void CountBytes(size_t bytes);  // read, and not delivered yet
  void CountGaps(int gaps);
  void SetReadable(bool readable, std::string problem);
  void SetNothingToRead(bool nothing);
  void CaughtUp();  // everything read was delivered
  bool behind() const;
  FollowerStatus status() const;

  // Ends Wait, now and from now on. Also the sink's refusal stops.
  void Stop();
  bool stopped() const { return stop_; }
  // Until Stop, until `fd` is readable (-1: none), or for a second.
  void Wait(int fd);

 private:
  EventBatch* Batch();

  const Options options_;
  const Clock* const clock_;
  const Follower::Sink sink_;

  mutable Mutex mutex_;
  FollowerStatus status_ ABSL_GUARDED_BY(mutex_);
  bool behind_ ABSL_GUARDED_BY(mutex_) = false;           // read since the end was last reached
  bool nothing_to_read_ ABSL_GUARDED_BY(mutex_) = false;  // no file or journal exists
  absl::Time last_stamp_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // Used by the thread only.
  const std::unique_ptr<LogReader> reader_;
  ReadTally tally_;
  std::unique_ptr<EventBatch> batch_;
  LogPosition sent_;      // of the last batch, or of the start
  bool refused_ = false;  // the sink accepts no more

  const int wake_fd_;
  std::atomic<bool> stop_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_BATCH_WRITER_H_
