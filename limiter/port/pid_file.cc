#include "limiter/port/pid_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"
#include "limiter/port/replace_file.h"

namespace deferd {

PidFile::PidFile(const std::string& socket) : path_(socket + ".pid") {
  if (ReplaceFile(path_, absl::StrCat(getpid(), "\n"), 0644).has_value()) {
    spdlog::warn("{}: cannot be written: {}", path_, std::strerror(errno));
  }
}

PidFile::~PidFile() { unlink(path_.c_str()); }

}  // namespace deferd
