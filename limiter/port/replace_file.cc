#include "limiter/port/replace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/cleanup/cleanup.h"

namespace deferd {

std::optional<ReplaceFailure> ReplaceFile(const std::string& path, absl::string_view text,
                                          mode_t mode) {
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return ReplaceFailure{temporary, "write"};
  absl::Cleanup close_fd = [fd] {
    const int error = errno;
    close(fd);
    errno = error;
  };
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ReplaceFailure{temporary, "write"};
    text.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return ReplaceFailure{temporary, "write"};
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return ReplaceFailure{path, "rename"};
  // The name too. The file is replaced by now, so a folder that cannot be synced is no failure.
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int folder_fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    fsync(folder_fd);
    close(folder_fd);
  }
  return std::nullopt;
}

}  // namespace deferd
