// Watches one file name in a directory with inotify(7): wakes a follower, and tells it the present
// names of files that had the name before.
//
// Where inotify does not work (no watches left, some network file systems) fd() may be -1 and no
// event arrives; the follower then depends on its own looks. An event may arrive after a look has
// already shown the change, never the other way round. Not thread-safe.

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
  // A file that had the watched name, with its present name in this directory.
  struct Former {
    std::string name;
    std::optional<FileId> id;  // the file's identity, once the owner has set it
    bool moved = true;         // renamed since the owner set `id`
    int looks = 0;             // used by the owner: how often nothing was found there
  };

  explicit DirectoryWatch(const std::string& path);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  int fd() const { return fd_; }  // readable when events wait
  bool armed() const { return folder_watch_ >= 0; }
  const std::string& folder() const { return folder_; }
  const std::string& name() const { return name_; }

  // Watches the directory if it exists and is not watched yet.
  void Arm();

  // Wakes when the open file `file` is written to, whatever its name. Returns -1 on failure.
  int WatchFile(int file);
  void ForgetFile(int watch);

  // Reads all waiting events. True if some concern the name or names that begin with it.
  bool Take();

  // Oldest first. The owner sets `id`, resets `moved`, and removes entries that it has handled.
  std::vector<Former>& former() { return former_; }
  void Forget(FileId id);

  // The owner has opened the file that has the watched name now.
  void KnowCurrent(FileId id) {
    current_ = id;
    present_ = true;
  }

  // Files that had the name and were deleted, overwritten or moved to another directory since the
  // last call: files with a known id, and others.
  struct Removed {
    int known = 0;
    int unknown = 0;
  };
  Removed TakeRemoved() { return std::exchange(removed_, {}); }

  // Whether events were lost since the last call; former() is empty then.
  bool TakeOverflow() { return std::exchange(overflow_, false); }

 private:
  void Handle(const inotify_event& event);
  void Renamed(const std::string& from, const std::string& to);
  void Vanished(const std::string& name);
  void Count(const std::optional<FileId>& id) { ++(id ? removed_.known : removed_.unknown); }

  struct HalfRename {
    std::string from;
    std::chrono::steady_clock::time_point since;
  };

  std::string folder_;
  std::string name_;
  int fd_ = -1;
  int folder_watch_ = -1;
  bool present_ = false;  // a file has the name, according to events and the owner
  std::optional<FileId> current_;
  std::vector<Former> former_;
  absl::flat_hash_map<uint32_t, HalfRename> moving_;  // by cookie
  Removed removed_;
  bool overflow_ = false;
  bool changed_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_DIRECTORY_WATCH_H_
