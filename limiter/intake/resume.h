// Finds the files of a log after a restart: files already read, by their content, and files that
// were created and rotated meanwhile. Reads the directory once; the caller must check whether it
// changed in between. Not thread-safe.
//
// Rotated files are ordered by the second of their last modification, which compression preserves.
// Files of the same second (quick rotation, or copied files) are ordered by the fraction if all
// have one, then by their first stamp. Names decide last, because numbers grow with age in one
// naming scheme and shrink in another; the other files show which.
//
// Temporary problems lose nothing: if the path or its directory cannot be read (permissions, not
// mounted yet, rotated and not created again), nothing is decided and the position stays.

#ifndef DEFERD_LIMITER_INTAKE_RESUME_H_
#define DEFERD_LIMITER_INTAKE_RESUME_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "limiter/intake/rotated_name.h"
#include "limiter/intake/tailed_file.h"
#include "policy/log_position.h"

namespace deferd {

// A regular file of the log, rotated or at the path.
struct Sibling {
  std::string path;
  FileId id;
  int64_t modified = 0;                // Unix seconds
  int64_t fraction = 0;                // plus nanoseconds
  std::optional<RotatedName> rotated;  // nullopt: the name is not that of a rotated file
};

// The files whose names begin with that of `path`, except `path` itself, oldest first.
std::vector<Sibling> SiblingsOf(const std::string& path);

// Opens the rotated files among `siblings` that are younger than the file `known`, oldest first;
// all of them without `known`. nullopt: `known` is not among the siblings. Copies are left out:
// files in `read`, and files that begin like one of `read` or like the file at `path`. Sets
// `*unreadable` if a file cannot be opened.
std::optional<std::vector<std::unique_ptr<TailedFile>>> UnseenRotated(
    const std::string& path, const std::vector<Sibling>& siblings, const TailedFile* known,
    const std::vector<const TailedFile*>& read, bool* unreadable);

struct Resumed {
  // In the order of their lines, each at its read position. The last is the file at the path if
  // `has_current`.
  std::vector<std::unique_ptr<TailedFile>> files;
  bool has_current = false;
  int gaps = 0;
  // No decision is possible now and `files` is empty: a file of the position was not found, and the
  // file at the path is missing or cannot be read.
  bool undecided = false;
  // The position to keep while undecided. It records which rotated files exist, so that files
  // rotated later are known to be new.
  std::vector<FilePosition> keep;
  // Files that were read and not found, while some rotated file cannot be opened: it may be one of
  // them.
  std::vector<FilePosition> unfound;
  std::string unreadable;  // path of that rotated file
};

// The files to continue with after `position`. `read_rotated_first`: whether to read all rotated
// files if the position is before the first line (they were rotated since).
Resumed FindAgain(const std::string& path, const LogPosition& position, bool read_rotated_first);

// Looks for one file of a position among the rotated files: for those in Resumed::unfound. If it is
// not in `files` of the result, it is in `unfound` again, or lost (a gap).
Resumed FindAmongRotated(const std::string& path, const FilePosition& position);

// The files for a first start: the youngest rotated file, then the file at `path`.
Resumed BeginWithRotated(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_RESUME_H_
