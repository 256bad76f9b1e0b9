// Tells when one of a few files has changed: the maps and lists that the configuration names.
//
// A look is a stat(2) for each file; panels rewrite such files in place or rename a new one over
// the old, so a change counts once the files look the same twice in a row. Not thread-safe.

#ifndef DEFERD_LIMITER_APP_FILE_WATCH_H_
#define DEFERD_LIMITER_APP_FILE_WATCH_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace deferd {

class FileWatch {
 public:
  // The files as they are now are known.
  void Watch(std::vector<std::string> paths);

  // Whether they differ from what was known, and differed in the same way at the last look. They
  // are known then.
  bool Changed();

 private:
  // Device, inode, size, and the second and nanosecond of the last change; zeros of a missing file.
  using Look = std::vector<std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>>;
  Look LookNow() const;

  std::vector<std::string> paths_;
  Look known_;
  Look last_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_FILE_WATCH_H_
