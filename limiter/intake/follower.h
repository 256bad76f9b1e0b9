// Follows a log file that grows and is rotated. Every complete line is delivered once, in order, or
// a gap is counted; also across restarts, if the follower starts with the last position that its
// sink accepted.
//
//   rename (logrotate)   reads the old file to its end and keeps it open for a while, because
//                        a writer may still use it; reads the new file from its beginning. Files
//                        that appeared and were rotated between two looks are found under their
//                        new names
//   copytruncate         the file is shorter than the position, or the bytes before the position
//                        have changed: reads the rest from the copy in the same directory (also a
//                        compressed one), then the file from its beginning; without a copy, lines
//                        written since the last read are lost and counted as a gap
//   deletion             reads the open file on; looks for a new file at the path
//   partial last line    waits for the LF; in a rotated file the partial line counts as a line
//   over-long line       skipped and counted as malformed (line_splitter.h)
//   cannot be opened     reported in the status, and retried
//   restart              finds each file of the position by its inode or its content (resume.h);
//                        if not found: counts a gap and reads the present file from its beginning
//
// Runs on its own thread, started by Start. Batches go to the sink, which may block. Each batch
// carries the position after its last line. Woken by inotify; also looks every second, for file
// systems without notification.

#ifndef DEFERD_LIMITER_INTAKE_FOLLOWER_H_
#define DEFERD_LIMITER_INTAKE_FOLLOWER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/intake/log_reader.h"
#include "limiter/intake/read_tally.h"
#include "limiter/port/clock.h"
#include "policy/attempt.h"
#include "policy/log_position.h"

namespace deferd {

struct FollowerOptions {
  std::string path;
  size_t batch_events = 1000;
  absl::Duration keep_rotated = absl::Minutes(10);  // how long a renamed file is read on
  // Where to continue. The caller restores the reader (LogReader::Restore) before Start.
  std::optional<LogPosition> resume;
  // Without a position: read the youngest rotated file first. With a position before the first
  // line: read all rotated files, because they were rotated since.
  bool read_rotated_first = false;
};

struct FollowerStatus {
  std::string path;
  bool readable = false;                         // the path can be opened
  std::string problem;                           // why it cannot be opened
  bool at_end = false;                           // all existing lines were read, at least once
  absl::Time last_stamp = absl::InfinitePast();  // of the last line that had a time stamp
  absl::Duration lag;  // zero at the end, otherwise clock minus last stamp
  int64_t gaps = 0;    // number of places where lines were lost
  absl::Time last_gap = absl::InfinitePast();
  int64_t bytes = 0;  // read since the start
  size_t open_messages = 0;
  int64_t evicted = 0;  // messages forgotten because too many were open
  ReadCounts read;
};

class Follower {
 public:
  // Takes ownership of one batch, on the follower's thread; false: stop. A batch may hold no event
  // and no line, only a new position.
  using Sink = std::function<bool(std::unique_ptr<EventBatch>)>;

  static std::unique_ptr<Follower> Start(const FollowerOptions& options,
                                         std::unique_ptr<LogReader> reader, const Clock* clock,
                                         Sink sink);
  // Stops and joins. Lines read so far have been delivered; a blocking sink must be released first.
  virtual ~Follower() = default;

  // Safe from any thread.
  virtual FollowerStatus status() const = 0;
};

// A follower without a thread: it reads when it is called, on the caller's thread. For tests that
// decide when a follower looks.
class SteppedFollower : public Follower {
 public:
  static std::unique_ptr<SteppedFollower> New(const FollowerOptions& options,
                                              std::unique_ptr<LogReader> reader, const Clock* clock,
                                              Sink sink);

  // Delivers every line that is there. False: the sink accepts no more.
  virtual bool Look() = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_FOLLOWER_H_
