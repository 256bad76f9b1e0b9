// A log of which it is not known whose it is, or that both mail servers write: each line is read by
// the reader whose line it is. For replay; the daemon is told whose log it follows.

#ifndef DEFERD_LIMITER_INTAKE_ANY_READER_H_
#define DEFERD_LIMITER_INTAKE_ANY_READER_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_reader.h"
#include "limiter/intake/postfix_reader.h"

namespace deferd {

// How many events of each mail server a log tells.
struct LogOwners {
  int64_t exim = 0;
  int64_t postfix = 0;
};

class AnyReader : public LogReader {
 public:
  // What was read so far: how much of it is whose.
  virtual LogOwners owners() const = 0;
};

std::unique_ptr<AnyReader> NewAnyReader(const EximReaderOptions& exim,
                                        const PostfixReaderOptions& postfix);

// The same of a log's beginning, some hundred lines.
LogOwners OwnersOf(absl::string_view head, absl::TimeZone zone);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_ANY_READER_H_
