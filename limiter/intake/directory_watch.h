// What happens to one name of a directory, by inotify(7): wakes a follower, and tells it where a
// file went that was renamed before anyone had opened it.
//
// Where inotify does not work (no watches left, some network file systems) fd() may be -1 and no
// event ever comes: the follower then sees only what a look at the path shows. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_
#define DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

struct inotify_event;

namespace deferd {

// What became of the files that had the name.
struct NameChanges {
  std::vector<std::string> renamed;  // the names, in this directory, that they have now
  int vanished = 0;                  // deleted, or moved to another directory
};

class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::string& path);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  int fd() const { return fd_; }  // readable when something happened
  const std::string& folder() const { return folder_; }
  const std::string& name() const { return name_; }

  // Watches the directory, if it exists and is not watched yet.
  void Arm();

  // Wakes when the open file `file` is written to, whatever its name. -1 if that cannot be.
  int WatchFile(int file);
  void ForgetFile(int watch);

  // Reads all events that wait, and adds to `changes`. False if there were none.
  bool Take(NameChanges* changes);

 private:
  bool Drain(NameChanges* changes);
  void Handle(const inotify_event& event, NameChanges* changes);
  void Renamed(const std::string& from, const std::string& to, NameChanges* changes);
  void Vanished(const std::string& name, NameChanges* changes);

  std::string folder_;
  std::string name_;
  int fd_ = -1;
  int folder_watch_ = -1;
  absl::flat_hash_map<uint32_t, std::string> moving_;  // renames half seen, by cookie
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_
