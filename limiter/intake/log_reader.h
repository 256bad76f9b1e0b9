// Lines to log events, whatever the MTA.
//
// One reader a source: it joins attempts with their message's arrival by message id, so it has
// state and is not thread-safe. Lines come in the order of the log.

#ifndef DEFERD_LIMITER_INTAKE_LOG_READER_H_
#define DEFERD_LIMITER_INTAKE_LOG_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/attempt.h"
#include "policy/open_message.h"

namespace deferd {

class LogReader {
 public:
  virtual ~LogReader() = default;

  // Reads one line (without LF), adds what it tells to `batch`, counts it there.
  virtual void ReadLine(absl::string_view line, EventBatch* batch) = 0;

  // A line that was longer than any line of an MTA and was thrown away unread.
  virtual void SkipLine(EventBatch* batch) = 0;

  // Nothing more comes: attempts that waited for their arrival are handed over without it.
  virtual void Finish(EventBatch* batch) = 0;

  // Where stamps have no year: none is after this.
  virtual void set_latest(absl::Time latest) = 0;
  // Where stamps have no zone: when the lines that come were written (stamp.h).
  virtual void set_written(absl::Time after, absl::Time before) = 0;

  // Messages whose completion was not seen yet, and how many were forgotten because there were too
  // many of them.
  virtual size_t open_messages() const = 0;
  virtual int64_t evicted() const = 0;

  // The stamp of the last line that had one; InfinitePast before.
  virtual absl::Time last_stamp() const = 0;

  // What a new reader needs to go on as this one would, but for the open messages, which their
  // events tell: ASCII text, for Restore.
  virtual std::string SaveState() const = 0;

  // Before the first line: makes this reader one that has read what `state` (of SaveState; empty:
  // nothing) and `open` tell of. The order of `open` stands for messages that arrived at the same
  // time; otherwise the earlier arrival is the older message. DataLoss if the state is not one;
  // then the reader is as new.
  virtual absl::Status Restore(std::vector<OpenMessage> open, absl::string_view state) = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_READER_H_
