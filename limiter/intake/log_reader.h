// Converts log lines to log events, independent of the MTA.
//
// One reader per source: it joins attempts with the arrival of their message by message id, so it
// has state and is not thread-safe. Lines must come in the order of the log.

#ifndef DEFERD_LIMITER_INTAKE_LOG_READER_H_
#define DEFERD_LIMITER_INTAKE_LOG_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/attempt.h"
#include "policy/open_message.h"

namespace deferd {

// Whether a message that arrived then, from this host and without a login, is one that deferd
// itself has sent. Called on the reader's thread, once for each arrival that may be one.
using OwnMailTest = std::function<bool(absl::string_view message_id, absl::Time arrival)>;

class LogReader {
 public:
  virtual ~LogReader() = default;

  // Reads one line (without LF), adds its events to `batch` and counts the line there.
  virtual void ReadLine(absl::string_view line, EventBatch* batch) = 0;

  // A line longer than any MTA writes was dropped unread.
  virtual void SkipLine(EventBatch* batch) = 0;

  // End of input: attempts that wait for their arrival are delivered without it.
  virtual void Finish(EventBatch* batch) = 0;

  // For stamps without a year: no stamp is later than this.
  virtual void set_latest(absl::Time latest) = 0;
  // For stamps without a zone: when the following lines were written (stamp.h).
  virtual void set_written(absl::Time after, absl::Time before) = 0;

  // Messages whose completion was not seen yet, and the number of messages forgotten because there
  // were too many.
  virtual size_t open_messages() const = 0;
  virtual int64_t evicted() const = 0;

  // The stamp of the last line with a stamp; InfinitePast before.
  virtual absl::Time last_stamp() const = 0;

  // State for Restore as ASCII text: all that a new reader needs to continue, except the open
  // messages, which are stored from their events.
  virtual std::string SaveState() const = 0;

  // Call before the first line. Continues from `state` (of SaveState; empty: nothing read) and
  // `open`. An earlier arrival is the older message; among equal arrival times the order of `open`
  // decides. DataLoss if the state is malformed; the reader is unchanged then.
  virtual absl::Status Restore(std::vector<OpenMessage> open, absl::string_view state) = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_READER_H_
