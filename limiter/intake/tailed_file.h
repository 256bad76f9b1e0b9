// One open log file: reads its next bytes, detects whether bytes already read have changed, and
// tracks how far complete lines were read.
//
// A file that is truncated and written again (copytruncate) keeps its inode and may have grown past
// our position before the next look. Each read therefore compares the bytes before the position.
// The hashes of a position cover the bytes as they were read, not the file's later content. A gzip
// file (detected by its first bytes) is read decompressed and does not grow. Not thread-safe.

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
#include "limiter/intake/inflater.h"
#include "limiter/intake/line_splitter.h"
#include "policy/log_position.h"

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
    kCut,    // bytes already read are gone or changed; see Restart
    kError,  // reading failed, try again; for a gzip file: damaged
  };

  // Opens a file at its beginning. Errors name the file; FailedPrecondition: not a regular file.
  static absl::StatusOr<std::unique_ptr<TailedFile>> Open(const std::string& path);
  ~TailedFile();
  TailedFile(const TailedFile&) = delete;
  TailedFile& operator=(const TailedFile&) = delete;

  // Reads the next bytes into `*bytes`, valid until the next call.
  Result Read(absl::string_view* bytes);

  // After kCut: starts again at the beginning.
  void Restart();

  // For a file just opened: goes to `position` if the file begins with the bytes read up to there.
  // If false, the object cannot be used any more.
  bool GoTo(const FilePosition& position);

  // For a file just opened: goes to its end, as if everything had been read. False: reading failed.
  bool SkipToEnd();

  // For a file just opened that is a copy of `original`, made before the original was truncated:
  // continues at the original's position, possibly inside a line. If false, the object cannot be
  // used any more.
  bool TakeOver(const TailedFile& original);

  // Records that lines were delivered up to `offset`, which lies in the last bytes read or was
  // recorded before.
  void MarkLine(int64_t offset);

  // As of the last MarkLine.
  FilePosition position() const;

  // The first bytes of the file as it is now, at most 1024. Does not move the position.
  std::string Head() const;

  int fd() const { return fd_; }
  FileId id() const { return id_; }
  bool packed() const { return inflater_ != nullptr; }

  // For the owner: splits lines, the watch on this file, and since when the file is no longer at
  // the path.
  LineSplitter splitter;
  int watch = -1;
  absl::Duration rotated_at = absl::InfiniteDuration();
  bool seen_deleted = false;  // it has no name any more
  bool damaged = false;       // a gzip file that cannot be read further
  bool is_copy = false;       // made by rotation: nobody writes to it

 private:
  TailedFile(int fd, FileId id) : fd_(fd), id_(id) {}

  Result ReadPlain(absl::string_view* bytes);
  Result ReadPacked(absl::string_view* bytes);
  void Passed(absl::string_view bytes);

  const int fd_;
  const FileId id_;
  int64_t offset_ = 0;  // in the text
  std::string head_;    // the first bytes of what was read
  std::string tail_;    // the last bytes before offset_
  std::vector<char> buffer_;
  absl::string_view window_;  // in buffer_: the last bytes read, preceded by the tail_ of that time

  int64_t line_offset_ = 0;
  std::string line_tail_;  // the last bytes before line_offset_
  mutable FilePosition position_;
  mutable bool position_is_good_ = false;

  // For a gzip file.
  std::unique_ptr<Inflater> inflater_;
  std::vector<char> packed_;
  absl::string_view packed_rest_;
  std::string again_;  // decompressed, to be read next
  int64_t packed_offset_ = 0;
};

// The first eight bytes, little endian, of the SHA-256 of `bytes`.
uint64_t HashOf(absl::string_view bytes);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_TAILED_FILE_H_
