// How far a log has been read, so that reading can go on after a restart: nothing twice, nothing
// left out.
//
// A file is known again by what is in it, not by its name alone: inodes are reused at once, and
// rotation renames, copies and compresses. Plain values; times of gaps are the clock's.

#ifndef DEFERD_POLICY_LOG_POSITION_H_
#define DEFERD_POLICY_LOG_POSITION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace deferd {

// One file, read up to `offset`, which is behind a full line.
struct FilePosition {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t offset = 0;       // in the file's text; of a .gz, in what it unpacks to
  int64_t head_length = 0;  // min(1024, offset)
  uint64_t head_hash = 0;   // of the first head_length bytes
  int64_t tail_length = 0;  // min(256, offset)
  uint64_t tail_hash = 0;   // of the tail_length bytes before offset
  bool rotated = false;     // it has left the path, and is read on for late lines

  friend bool operator==(const FilePosition&, const FilePosition&) = default;
};

struct LogPosition {
  std::vector<FilePosition> files;  // in the order in which they had the path's name
  std::string cursor;  // of systemd's journal: the last entry read; sd_journal_get_cursor(3)
  std::string reader;  // what the reader remembers between lines; opaque
  int64_t gaps = 0;    // places where lines are known to be lost, ever
  absl::Time last_gap = absl::InfinitePast();

  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

// The position of one source, by its path (or another name that is stable: "journal:postfix").
struct SourcePosition {
  std::string source;
  LogPosition position;

  friend bool operator==(const SourcePosition&, const SourcePosition&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_LOG_POSITION_H_
