// What became of the lines of one followed log, for alarms when it is read but not understood, and
// whose messages the mail server accepted, to be compared with the questions that it asked.
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
  int64_t missed = 0;  // lines that look like a delivery, and of which nothing was understood
  // Messages accepted since then, by who handed them over.
  int64_t accepted_login = 0;
  int64_t accepted_local = 0;
  int64_t accepted_host = 0;
};

// Whether a line has the form of a delivery in the log of Exim, Postfix or Sendmail, whatever its
// prefix is. Attempts that the MTA only postponed ("retry time not reached") do not.
bool LooksLikeDelivery(absl::string_view line);

class ReadTally {
 public:
  // `start`: messages that were accepted before are not counted, since nobody counted the questions
  // about them either.
  explicit ReadTally(absl::Time start) : start_(start) {}

  // Has `reader` read the line, and counts what came of it.
  void Read(LogReader* reader, absl::string_view line, EventBatch* batch);
  void Skip(LogReader* reader, EventBatch* batch);

  const ReadCounts& counts() const { return counts_; }

 private:
  const absl::Time start_;
  ReadCounts counts_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_READ_TALLY_H_
