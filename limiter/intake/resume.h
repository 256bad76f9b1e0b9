// Finding the files of a log again: those that were read, by what is in them, and those that came
// and were put aside unseen. Looks at the folder once; who calls must know whether it changed
// meanwhile. Not thread-safe.
//
// Age: rotated files are ordered by the second of their modification, then by name. Compressing
// keeps the modification time, but not always its fraction.

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
  std::optional<RotatedName> rotated;  // nullopt: not a rotated file by its name

  friend bool operator<(const Sibling& a, const Sibling& b) {
    if (a.modified != b.modified) return a.modified < b.modified;
    if (a.rotated != b.rotated) return a.rotated < b.rotated;
    return a.path < b.path;
  }
};

// The files whose names begin with that of `path`, but for `path` itself, oldest first.
std::vector<Sibling> SiblingsOf(const std::string& path);

// The rotated files among `siblings` that are younger than the file `known`, oldest first, opened;
// all of them if there is no `known`. nullopt: `known` is not among the siblings. None that is in
// `read` or begins like one of `read` or like what is at `path`: those are copies.
std::optional<std::vector<std::unique_ptr<TailedFile>>> UnseenRotated(
    const std::string& path, const std::vector<Sibling>& siblings, const TailedFile* known,
    const std::vector<const TailedFile*>& read);

struct Resumed {
  // In the order of their lines, each where it is to be read on. The last is the one at the path if
  // `has_current`.
  std::vector<std::unique_ptr<TailedFile>> files;
  bool has_current = false;
  int gaps = 0;  // 0 or 1
};

// The files to go on with after `position`. `read_rotated_first` says what to do if that tells of
// no line read: whether to read all rotated files, which then have come since.
Resumed FindAgain(const std::string& path, const LogPosition& position, bool read_rotated_first);

// The files to begin with: the youngest rotated one, then that at `path`.
Resumed BeginWithRotated(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_RESUME_H_
