#include "limiter/app/file_watch.h"

#include <sys/stat.h>

#include <utility>

namespace deferd {

void FileWatch::Watch(std::vector<std::string> paths) {
  paths_ = std::move(paths);
  known_ = last_ = LookNow();
}

bool FileWatch::Changed() {
  Look now = LookNow();
  const bool settled = now == last_;
  last_ = std::move(now);
  if (!settled || last_ == known_) return false;
  known_ = last_;
  return true;
}

FileWatch::Look FileWatch::LookNow() const {
  Look look;
  for (const std::string& path : paths_) {
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) info = {};
    look.emplace_back(info.st_dev, info.st_ino, info.st_size, info.st_ctim.tv_sec,
                      info.st_ctim.tv_nsec);
  }
  return look;
}

}  // namespace deferd
