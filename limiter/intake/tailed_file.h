// One open log file: its next bytes, whether what was read is still there, and how far its full
// lines were read.
//
// A file cut to nothing and written again (copytruncate) keeps its inode, and may have grown past
// our position before anyone looks: so each read compares the bytes before the position too. A
// position's hashes are of the bytes that were read, never of the file as it is later. A gzip file
// (told by its first bytes) is read as what it unpacks to; it does not grow. Not thread-safe.

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
    kCut,    // what was read is gone, and more may be: see Restart
    kError,  // the file cannot be read; try again. Of a gzip file: it is damaged
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

  // For a file just opened: if it begins with what was read to `position`, goes there. If false, it
  // cannot be used any more.
  bool GoTo(const FilePosition& position);

  // For a file just opened: goes to its end, as if all had been read. False: it cannot be read.
  bool SkipToEnd();

  // For a file just opened, if it is a copy of `original` made before that was cut: goes on where
  // `original` was read to, in the middle of a line perhaps. If false, it cannot be used any more.
  bool TakeOver(const TailedFile& original);

  // Notes that lines were handed on up to `offset`, which is in the last bytes read or was noted
  // before.
  void MarkLine(int64_t offset);

  // As of the last MarkLine.
  FilePosition position() const;

  // The first bytes of the file as it is now, 1024 at most. Reads nothing off.
  std::string Head() const;

  int fd() const { return fd_; }
  FileId id() const { return id_; }
  bool packed() const { return inflater_ != nullptr; }

  // For the owner: lines cut in the middle, the watch on this file, and since when it has not been
  // at the path any more.
  LineSplitter splitter;
  int watch = -1;
  absl::Time rotated_at = absl::InfiniteFuture();
  bool seen_deleted = false;  // it has no name any more
  bool damaged = false;       // a gzip file that cannot be read on
  bool is_copy = false;       // made by rotation: nobody goes on writing it

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
  absl::string_view window_;  // in buffer_: the last bytes read and tail_ as it was before them

  int64_t line_offset_ = 0;
  std::string line_tail_;  // the last bytes before line_offset_
  mutable FilePosition position_;
  mutable bool position_is_good_ = false;

  // Of a gzip file.
  std::unique_ptr<Inflater> inflater_;
  std::vector<char> packed_;
  absl::string_view packed_rest_;
  std::string again_;  // unpacked, and to be read next
  int64_t packed_offset_ = 0;
};

// The first eight bytes, little endian, of the SHA-256 of `bytes`.
uint64_t HashOf(absl::string_view bytes);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_TAILED_FILE_H_
