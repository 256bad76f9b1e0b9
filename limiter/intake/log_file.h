// A whole log file, plain or gzip (detected by its first bytes), read once from front to back, for
// replay. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_LOG_FILE_H_
#define DEFERD_LIMITER_INTAKE_LOG_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/log_reader.h"

namespace deferd {

class LogFile {
 public:
  // "-" is standard input. NotFound or PermissionDenied name the file; a directory is
  // InvalidArgument.
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(const std::string& path);
  virtual ~LogFile() = default;

  virtual absl::Time modified() const = 0;  // standard input: InfiniteFuture
  virtual int64_t size() const = 0;         // bytes on disk; 0 if not known
  // The beginning, some hundred lines, used to sort files by their first stamp. Consumes nothing;
  // call before the first Read.
  virtual absl::string_view head() = 0;

  // Feeds lines to `reader` until `batch`, which the caller clears, has `max_events` events; false
  // at the end of the file. A last line without LF is a line. The first call limits stamps without
  // a year to a day after modified(), or now for standard input. DataLoss if a gzip file is
  // damaged, Unavailable if reading fails: earlier calls have delivered all lines before the
  // damage.
  virtual absl::StatusOr<bool> Read(LogReader* reader, size_t max_events, EventBatch* batch) = 0;

  virtual int64_t bytes_read() const = 0;  // bytes on disk, for progress output
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_FILE_H_
