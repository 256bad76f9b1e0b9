// How far a log was read, so that reading continues after a restart without repeating or missing
// lines.
//
// A file is recognised by its content, not only by its name: inodes are reused at once, and
// rotation renames, copies and compresses. Plain values; times of gaps are the clock's.

#ifndef DEFERD_POLICY_LOG_POSITION_H_
#define DEFERD_POLICY_LOG_POSITION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace deferd {

// One file, read up to `offset`, which follows a complete line.
struct FilePosition {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t offset = 0;       // in the file's text; for a .gz, in the decompressed text
  int64_t head_length = 0;  // min(1024, offset)
  uint64_t head_hash = 0;   // of the first head_length bytes
  int64_t tail_length = 0;  // min(256, offset)
  uint64_t tail_hash = 0;   // of the tail_length bytes before offset
  bool rotated = false;     // no longer at the path, still read for late lines

  friend bool operator==(const FilePosition&, const FilePosition&) = default;
};

struct LogPosition {
  std::vector<FilePosition> files;  // in the order in which they were at the path
  std::string cursor;  // of systemd's journal: the last entry read; sd_journal_get_cursor(3)
  std::string reader;  // the reader's state between lines; opaque
  int64_t gaps = 0;    // number of places where lines were lost
  absl::Time last_gap = absl::InfinitePast();

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

// The position of one source, by its path (or another stable name: "journal:postfix").
struct SourcePosition {
  std::string source;
  LogPosition position;

  friend bool operator==(const SourcePosition&, const SourcePosition&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_LOG_POSITION_H_
