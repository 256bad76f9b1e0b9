#include "limiter/intake/directory_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace deferd {
namespace {

// The second half of a rename follows at once, unless the file moved to another directory; but the
// renaming process may be delayed between the two events.
constexpr std::chrono::seconds kOtherHalf{2};

// More renames than any log rotation has pending.
constexpr size_t kMaxFormer = 1000;

}  // namespace

DirectoryWatch::DirectoryWatch(const std::string& path) {
  const size_t slash = path.rfind('/');
  folder_ = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  name_ = slash == std::string::npos ? path : path.substr(slash + 1);
  fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

DirectoryWatch::~DirectoryWatch() {
  if (fd_ >= 0) close(fd_);
}

void DirectoryWatch::Arm() {
  if (fd_ < 0 || folder_watch_ >= 0) return;
  folder_watch_ = inotify_add_watch(
      fd_, folder_.c_str(),
      IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_MOVE_SELF | IN_ONLYDIR);
}

int DirectoryWatch::WatchFile(int file) {
  if (fd_ < 0) return -1;
  return inotify_add_watch(fd_, absl::StrCat("/proc/self/fd/", file).c_str(), IN_MODIFY);
}

void DirectoryWatch::ForgetFile(int watch) {
  if (watch >= 0) inotify_rm_watch(fd_, watch);
}

bool DirectoryWatch::Take() {
  if (fd_ < 0) return false;
  alignas(inotify_event) char buffer[16 << 10];
  for (ssize_t n; (n = read(fd_, buffer, sizeof(buffer))) > 0;) {
    for (const char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      Handle(*event);
      at += sizeof(inotify_event) + event->len;
    }
  }
  const auto now = std::chrono::steady_clock::now();
  absl::erase_if(moving_, [&](const auto& entry) {
    if (now - entry.second.since < kOtherHalf) return false;
    Vanished(entry.second.from);
    return true;
  });
  return std::exchange(changed_, false);
}

void DirectoryWatch::Forget(FileId id) {
  former_.erase(std::remove_if(former_.begin(), former_.end(),
                               [id](const Former& former) { return former.id == id; }),
                former_.end());
}

void DirectoryWatch::Handle(const inotify_event& event) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    overflow_ = true;
    changed_ = true;
    former_.clear();
    moving_.clear();
    removed_ = {};
    return;
  }
  if (event.wd != folder_watch_) return;
  if ((event.mask & IN_MOVE_SELF) != 0) inotify_rm_watch(fd_, folder_watch_);
  if ((event.mask & (IN_MOVE_SELF | IN_IGNORED)) != 0) folder_watch_ = -1;
  if (event.len == 0) return;
  const std::string name = event.name;
  if ((event.mask & IN_ATTRIB) == 0 && absl::StartsWith(name, name_)) changed_ = true;
  if ((event.mask & IN_MOVED_FROM) != 0) {
    moving_[event.cookie] = {name, std::chrono::steady_clock::now()};
  } else if ((event.mask & IN_MOVED_TO) != 0) {
    const auto it = moving_.find(event.cookie);
    Renamed(it == moving_.end() ? "" : it->second.from, name);
    if (it != moving_.end()) moving_.erase(it);
  } else if ((event.mask & IN_CREATE) != 0) {
    if (name != name_) return;
    present_ = true;
    current_.reset();
  } else if ((event.mask & IN_DELETE) != 0) {
    Vanished(name);
  }
}

// An empty `from` stands for another directory.
void DirectoryWatch::Renamed(const std::string& from, const std::string& to) {
  if (to != name_ || present_) Vanished(to);
  std::optional<FileId> id;
  if (from == name_) {
    id = std::exchange(current_, std::nullopt);
    present_ = false;
  } else {
    const auto it = std::find_if(former_.begin(), former_.end(),
                                 [&](const Former& former) { return former.name == from; });
    if (it == former_.end()) {
      if (to != name_) return;
    } else {
      id = it->id;
      if (to != name_) {
        it->name = to;
        it->moved = true;
        it->looks = 0;
        return;
      }
      former_.erase(it);
    }
  }
  if (to == name_) {
    present_ = true;
    current_ = id;
    return;
  }
  if (former_.size() == kMaxFormer) {
    Count(former_.front().id);
    former_.erase(former_.begin());
  }
  former_.push_back({.name = to, .id = id});
}

void DirectoryWatch::Vanished(const std::string& name) {
  if (name == name_) {
    Count(std::exchange(current_, std::nullopt));
    present_ = false;
    return;
  }
  const auto it = std::find_if(former_.begin(), former_.end(),
                               [&](const Former& former) { return former.name == name; });
  if (it == former_.end()) return;
  Count(it->id);
  former_.erase(it);
}

}  // namespace deferd
