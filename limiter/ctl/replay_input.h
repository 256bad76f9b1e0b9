// The logs that a replay reads, as one stream of batches in the order of time.
//
// Files of one mail server are read one after the other, the one that begins first first. Where
// both mail servers have files of their own, these run beside each other, so they are taken in
// turns, whichever's next event is earlier. Not thread-safe.

#ifndef DEFERD_LIMITER_CTL_REPLAY_INPUT_H_
#define DEFERD_LIMITER_CTL_REPLAY_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/ctl/replay.h"
#include "limiter/intake/any_reader.h"
#include "limiter/intake/log_file.h"
#include "limiter/intake/log_reader.h"

namespace deferd {

class ReplayInput {
 public:
  // Opens all files; errors are LogFile::Open's. `options` must outlive the input.
  static absl::StatusOr<std::unique_ptr<ReplayInput>> Open(const ReplayOptions& options);

  // The next events into `*batch`; false: these were the last. Errors are LogFile::Read's.
  absl::StatusOr<bool> Next(EventBatch* batch);

  double done() const;  // 0 to 1

  // Whose log each file was found to be, "exim", "postfix", "exim and postfix" or "none"; as far as
  // it was read.
  struct Found {
    std::string path;
    std::string format;
  };
  const std::vector<Found>& found() const { return found_; }

 private:
  struct File {
    std::string path;
    std::unique_ptr<LogFile> log;
    absl::Time first = absl::InfinitePast();  // its first line's stamp
  };
  // What is read by one reader.
  struct Stream {
    std::unique_ptr<LogReader> reader;
    AnyReader* any = nullptr;  // the same, if its format is not given
    std::string format;        // else its name
    std::deque<File> files;
    EventBatch next;
    bool has_next = false;
    LogOwners before;  // the file that is read now
  };

  explicit ReplayInput(const ReplayOptions& options) : options_(options) {}

  void AddStream(LogFormat format, std::deque<File> files);
  absl::Status Fill(size_t max_events, Stream* stream);
  void EndFile(Stream* stream);

  const ReplayOptions& options_;
  std::vector<Stream> streams_;
  std::vector<Found> found_;
  int64_t total_bytes_ = 0;
  int64_t done_bytes_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_REPLAY_INPUT_H_
