// Reads a log of an unknown mail server, or of both: each line goes to the reader of the mail
// server that wrote it. Used by replay; the daemon is configured with the mail server of each log.

#ifndef DEFERD_LIMITER_INTAKE_ANY_READER_H_
#define DEFERD_LIMITER_INTAKE_ANY_READER_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_reader.h"
#include "limiter/intake/postfix_reader.h"

namespace deferd {

// Number of events of each mail server in a log.
struct LogOwners {
  int64_t exim = 0;
  int64_t postfix = 0;
};

class AnyReader : public LogReader {
 public:
  // Events of each mail server in the lines read so far.
  virtual LogOwners owners() const = 0;
};

std::unique_ptr<AnyReader> NewAnyReader(const EximReaderOptions& exim,
                                        const PostfixReaderOptions& postfix);

// The same for the beginning of a log, some hundred lines.
LogOwners OwnersOf(absl::string_view head, absl::TimeZone zone);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_ANY_READER_H_
