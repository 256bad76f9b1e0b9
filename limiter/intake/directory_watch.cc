#include "limiter/intake/directory_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace deferd {
namespace {

constexpr int kOtherHalfMs = 10;

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

bool DirectoryWatch::Take(NameChanges* changes) {
  if (fd_ < 0) return false;
  bool any = Drain(changes);
  if (!moving_.empty()) {
    // The other half of a rename comes at once, unless it is in another directory.
    pollfd readable = {.fd = fd_, .events = POLLIN};
    poll(&readable, 1, kOtherHalfMs);
    any |= Drain(changes);
    for (const auto& [cookie, name] : moving_) Vanished(name, changes);
    moving_.clear();
  }
  return any;
}

bool DirectoryWatch::Drain(NameChanges* changes) {
  bool any = false;
  alignas(inotify_event) char buffer[16 << 10];
  for (ssize_t n; (n = read(fd_, buffer, sizeof(buffer))) > 0; any = true) {
    for (const char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      Handle(*event, changes);
      at += sizeof(inotify_event) + event->len;
    }
  }
  return any;
}

void DirectoryWatch::Handle(const inotify_event& event, NameChanges* changes) {
  if (event.wd != folder_watch_) return;
  if ((event.mask & IN_MOVE_SELF) != 0) inotify_rm_watch(fd_, folder_watch_);
  if ((event.mask & (IN_MOVE_SELF | IN_IGNORED)) != 0) folder_watch_ = -1;
  if (event.len == 0) return;
  const std::string name = event.name;
  if ((event.mask & IN_MOVED_FROM) != 0) {
    moving_[event.cookie] = name;
  } else if ((event.mask & IN_MOVED_TO) != 0) {
    if (const auto it = moving_.find(event.cookie); it != moving_.end()) {
      Renamed(it->second, name, changes);
      moving_.erase(it);
    }
  } else if ((event.mask & IN_DELETE) != 0) {
    Vanished(name, changes);
  }
}

void DirectoryWatch::Renamed(const std::string& from, const std::string& to, NameChanges* changes) {
  std::vector<std::string>& renamed = changes->renamed;
  if (std::find(renamed.begin(), renamed.end(), to) != renamed.end()) Vanished(to, changes);
  if (from == name_) {
    renamed.push_back(to);
  } else {
    std::replace(renamed.begin(), renamed.end(), from, to);
  }
}

void DirectoryWatch::Vanished(const std::string& name, NameChanges* changes) {
  std::vector<std::string>& renamed = changes->renamed;
  const auto it = std::find(renamed.begin(), renamed.end(), name);
  const bool ours = it != renamed.end() || name == name_;
  if (it != renamed.end()) renamed.erase(it);
  if (ours) ++changes->vanished;
}

}  // namespace deferd
