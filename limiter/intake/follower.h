// Follows a log that grows and is rotated, and promises: every full line once, in order, or a
// counted gap; also over restarts, if it is started with the last position that its sink accepted.
//
//   rename (logrotate)   the old file is read to its end, and on for a while, since a writer may
//                        keep it open; the new one from its beginning. Files that came and went
//                        between two looks are found under the names that they were given
//   copytruncate         the file is shorter than what was read, or the bytes before our position
//                        are other bytes: the rest is read from the copy beside it (also if that is
//                        compressed), then the file from its beginning; without a copy, what was
//                        written since the last read is lost, and counted as a gap
//   deletion             what is open is read on; the path is looked for again
//   partial last line    kept until its LF comes; of a rotated file, it is a line in the end
//   over-long line       skipped whole, counted as malformed (line_splitter.h)
//   cannot be opened     said in the status, and tried again
//   restart              each file of the position is found again by its inode or by what is in it
//                        (resume.h); not found: a gap, and the present file from its beginning
//
// Runs on a thread of its own, started by Start. Batches leave through the sink, which may wait.
// Each carries the position behind its last line. Woken by inotify; looks by itself every second
// too, for file systems that do not notify.

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
  // Where to go on. Its `reader` is the caller's business: LogReader::Restore, before Start.
  std::optional<LogPosition> resume;
  // Without a position, the youngest rotated file is read first. With one that tells of no line
  // read, all of them are: they have come since.
  bool read_rotated_first = false;
};

struct FollowerStatus {
  std::string path;
  bool readable = false;                         // the path can be opened
  std::string problem;                           // why not
  bool at_end = false;                           // everything that is there was read, at least once
  absl::Time last_stamp = absl::InfinitePast();  // of the last line that had one
  absl::Duration lag;  // zero at the end, else how far the last stamp is behind the clock
  int64_t gaps = 0;    // places where lines are known to be lost, ever
  absl::Time last_gap = absl::InfinitePast();
  int64_t bytes = 0;  // read since the start
  size_t open_messages = 0;
  int64_t evicted = 0;  // messages forgotten because too many were open
  ReadCounts read;
};

class Follower {
 public:
  // Takes one batch; false: stop. Called on the follower's thread; the batch is the callee's.
  // It may have no event and no line, but then a new position.
  using Sink = std::function<bool(std::unique_ptr<EventBatch>)>;

  static std::unique_ptr<Follower> Start(const FollowerOptions& options,
                                         std::unique_ptr<LogReader> reader, const Clock* clock,
                                         Sink sink);
  // Stops and joins. Lines read so far have been handed over; a sink that waits must be released
  // first.
  virtual ~Follower() = default;

  // From any thread.
  virtual FollowerStatus status() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_FOLLOWER_H_
