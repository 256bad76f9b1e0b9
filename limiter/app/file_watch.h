// Detects changes of a few files: the maps and lists that the configuration names.
//
// Each look calls stat(2) for every file. Panels rewrite such files in place or rename a new file
// over the old one, so a change counts once two looks in a row see the same state. Not thread-safe.

#ifndef DEFERD_LIMITER_APP_FILE_WATCH_H_
#define DEFERD_LIMITER_APP_FILE_WATCH_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace deferd {

class FileWatch {
 public:
  // Takes the present state of the files as known.
  void Watch(std::vector<std::string> paths);

  // Whether the files differ from the known state, in the same way as at the last look. The new
  // state is known afterwards.
  bool Changed();

 private:
  // Device, inode, size, and modification time in seconds and nanoseconds; zeros if the file is
  // missing.
  using Look = std::vector<std::tuple<uint64_t, uint64_t, int64_t, int64_t, int64_t>>;
  Look LookNow() const;

  std::vector<std::string> paths_;
  Look known_;
  Look last_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_FILE_WATCH_H_
