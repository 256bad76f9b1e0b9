// A whole log file, plain or gzip (told by its first bytes), read once from front to back: what
// replay reads. Not thread-safe.

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
  // "-" is standard input. NotFound or PermissionDenied name the file; a folder is InvalidArgument.
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(const std::string& path);
  virtual ~LogFile() = default;

  virtual absl::Time modified() const = 0;  // of standard input: InfiniteFuture
  virtual int64_t size() const = 0;         // in bytes on disk; 0 if not known
  // The beginning, some hundred lines, for sorting files by their first stamp; consumes nothing.
  // Before the first Read.
  virtual absl::string_view head() = 0;

  // Feeds `reader` lines until `batch`, which the caller clears, has `max_events` events; false if
  // the file ended before. A last line without LF is a line. The first call tells `reader` that no
  // stamp is later than a day after modified(), or after now for standard input. DataLoss if a gzip
  // file is damaged, Unavailable if it cannot be read on: lines before the damage have been handed
  // over by earlier calls.
  virtual absl::StatusOr<bool> Read(LogReader* reader, size_t max_events, EventBatch* batch) = 0;

  virtual int64_t bytes_read() const = 0;  // of the file on disk, for progress
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_FILE_H_
