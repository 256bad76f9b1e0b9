// One open file that somebody writes to: its next bytes, and whether what was read is still there.
//
// A file cut to nothing and written again (copytruncate) keeps its inode, and may have grown past
// our position before anyone looks: so each read compares the bytes before the position too. Not
// thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_TAILED_FILE_H_
#define DEFERD_LIMITER_INTAKE_TAILED_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/line_splitter.h"

namespace deferd {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;

  friend bool operator==(const FileId&, const FileId&) = default;
};

class TailedFile {
 public:
  enum class Result {
    kBytes,
    kEnd,    // nothing new
    kCut,    // what was read is gone, and more may be: see Restart
    kError,  // the file cannot be read; try again
  };

  // From the beginning. Errors name the file; what is not a regular file is FailedPrecondition.
  static absl::StatusOr<std::unique_ptr<TailedFile>> Open(const std::string& path);
  ~TailedFile();
  TailedFile(const TailedFile&) = delete;
  TailedFile& operator=(const TailedFile&) = delete;

  // The next bytes into `*bytes`, valid until the next call.
  Result Read(absl::string_view* bytes);

  // After kCut, begins at the front again.
  void Restart();

  // If this is a copy of `original`, made when it was at least as long as what was read of it, goes
  // to where `original` was read to. The last bytes before that place tell.
  bool SkipWhatWasReadOf(const TailedFile& original);

  int fd() const { return fd_; }
  FileId id() const { return id_; }

  // For the owner: lines cut in the middle, the watch on this file, and since when it has not been
  // at the path any more.
  LineSplitter splitter;
  int watch = -1;
  absl::Time rotated_at = absl::InfiniteFuture();

 private:
  TailedFile(int fd, FileId id) : fd_(fd), id_(id) {}

  const int fd_;
  const FileId id_;
  off_t offset_ = 0;
  std::string tail_;  // the last bytes before offset_
  std::vector<char> buffer_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_TAILED_FILE_H_
