// What happens to one name of a directory, by inotify(7): wakes a follower, and tells it where the
// files are now that had the name.
//
// Where inotify does not work (no watches left, some network file systems) fd() may be -1 and no
// event ever comes: the follower then sees only what a look shows. An event may come a little after
// a look has shown what it tells of, never the other way round. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_
#define DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "limiter/intake/tailed_file.h"

struct inotify_event;

namespace deferd {

class DirectoryWatch {
 public:
  // A file that had the name, under the name in this directory that it has now.
  struct Former {
    std::string name;
    std::optional<FileId> id;  // which file that is, once the owner has said so
    bool moved = true;         // since then
    int looks = 0;             // the owner's: how often nothing was found there
  };

  explicit DirectoryWatch(const std::string& path);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  int fd() const { return fd_; }  // readable when something happened
  bool armed() const { return folder_watch_ >= 0; }
  const std::string& folder() const { return folder_; }
  const std::string& name() const { return name_; }

  // Watches the directory, if it exists and is not watched yet.
  void Arm();

  // Wakes when the open file `file` is written to, whatever its name. -1 if that cannot be.
  int WatchFile(int file);
  void ForgetFile(int watch);

  // Reads all events that wait. True if some are about the name or names that begin with it.
  bool Take();

  // Oldest first. The owner sets `id` and resets `moved`, and forgets those that it is done with.
  std::vector<Former>& former() { return former_; }
  void Forget(FileId id);

  // The owner has opened the file that has the name now.
  void KnowCurrent(FileId id) {
    current_ = id;
    present_ = true;
  }

  // Files that had the name and were deleted, overwritten or moved elsewhere since the last call:
  // how many whose id was known, and how many others.
  struct Gone {
    int known = 0;
    int unknown = 0;
  };
  Gone TakeGone() { return std::exchange(gone_, {}); }

  // Whether events were lost since the last call; former() is empty then.
  bool TakeOverflow() { return std::exchange(overflow_, false); }

 private:
  void Handle(const inotify_event& event);
  void Renamed(const std::string& from, const std::string& to);
  void Vanished(const std::string& name);
  void Count(const std::optional<FileId>& id) { ++(id ? gone_.known : gone_.unknown); }

  struct HalfRename {
    std::string from;
    std::chrono::steady_clock::time_point since;
  };

  std::string folder_;
  std::string name_;
  int fd_ = -1;
  int folder_watch_ = -1;
  bool present_ = false;  // a file has the name, as far as events and the owner told
  std::optional<FileId> current_;
  std::vector<Former> former_;
  absl::flat_hash_map<uint32_t, HalfRename> moving_;  // by cookie
  Gone gone_;
  bool overflow_ = false;
  bool changed_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_
