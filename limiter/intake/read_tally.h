// Counts the lines of one followed log, to detect logs that are not understood, and the messages
// that the mail server accepted, to compare them with the questions that it sent.
//
// Confined to the follower's thread.

#ifndef DEFERD_LIMITER_INTAKE_READ_TALLY_H_
#define DEFERD_LIMITER_INTAKE_READ_TALLY_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/log_reader.h"
#include "policy/attempt.h"

namespace deferd {

// Since the start.
struct ReadCounts {
  int64_t lines = 0;
  int64_t attempts = 0;
  int64_t malformed = 0;
  int64_t missed = 0;  // lines that look like a delivery but were not understood
  // Messages accepted since the start, by how they came.
  int64_t accepted_login = 0;
  int64_t accepted_local = 0;
  int64_t accepted_host = 0;
};

// Whether a line looks like a delivery in the log of Exim, Postfix or Sendmail, with any prefix.
// Postponed attempts ("retry time not reached") do not.
bool LooksLikeDelivery(absl::string_view line);

class ReadTally {
 public:
  // `start`: messages accepted earlier are not counted, because questions about them were not
  // counted either.
  explicit ReadTally(absl::Time start) : start_(start) {}

  // Passes the line to `reader` and counts the result.
  void Read(LogReader* reader, absl::string_view line, EventBatch* batch);
  void Skip(LogReader* reader, EventBatch* batch);

  const ReadCounts& counts() const { return counts_; }

 private:
  const absl::Time start_;
  ReadCounts counts_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_READ_TALLY_H_
