// Finding the files of a log again: those that were read, by what is in them, and those that came
// and were put aside unseen. Looks at the folder once; who calls must know whether it changed
// meanwhile. Not thread-safe.
//
// Age: rotated files are ordered by the second of their last modification, which compressing keeps.
// Within one second (a quick rotation, or files that were copied here) by the fraction where all
// have one, then by the first stamp in them. Names decide last, since numbers grow with age in one
// scheme and shrink in another: as they do among the other files.
//
// What cannot be seen now is not lost: if the path or its folder cannot be read (permissions, not
// mounted yet, put aside and not made again), nothing is decided, and the position stays.

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

// One regular file beside the log, or the log itself.
struct Sibling {
  std::string path;
  FileId id;
  int64_t modified = 0;                // Unix seconds
  int64_t fraction = 0;                // and nanoseconds
  std::optional<RotatedName> rotated;  // nullopt: not a rotated file by its name
};

// The files whose names begin with that of `path`, but for `path` itself, oldest first.
std::vector<Sibling> SiblingsOf(const std::string& path);

// The rotated files among `siblings` that are younger than the file `known`, oldest first, opened;
// all of them if there is no `known`. nullopt: `known` is not among the siblings. None that is in
// `read` or begins like one of `read` or like what is at `path`: those are copies. `*unreadable`
// is set if one of them cannot be opened.
std::optional<std::vector<std::unique_ptr<TailedFile>>> UnseenRotated(
    const std::string& path, const std::vector<Sibling>& siblings, const TailedFile* known,
    const std::vector<const TailedFile*>& read, bool* unreadable);

struct Resumed {
  // In the order of their lines, each where it is to be read on. The last is the one at the path if
  // `has_current`.
  std::vector<std::unique_ptr<TailedFile>> files;
  bool has_current = false;
  int gaps = 0;
  // Nothing can be decided now, `files` is empty: a file that was read is not found, and what is at
  // the path cannot be read or is not there.
  bool undecided = false;
  // Then: the position to keep. With what was to be found again it tells which rotated files were
  // there, so that those that come until it can be decided are known to be new.
  std::vector<FilePosition> keep;
  // Files that were read and are not found, while a rotated file cannot be opened: it may be them.
  std::vector<FilePosition> unfound;
  std::string unreadable;  // such a file's path
};

// The files to go on with after `position`. `read_rotated_first` says what to do if that tells of
// no line read: whether to read all rotated files, which then have come since.
Resumed FindAgain(const std::string& path, const LogPosition& position, bool read_rotated_first);

// One file of a position, among the rotated ones: for what was left in Resumed::unfound. If it is
// not in the result's `files`, it is in `unfound` again or lost, which is a gap.
Resumed FindAmongRotated(const std::string& path, const FilePosition& position);

// The files to begin with: the youngest rotated one, then that at `path`.
Resumed BeginWithRotated(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_RESUME_H_
