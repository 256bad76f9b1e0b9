#include "limiter/intake/tailed_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace deferd {
namespace {

constexpr size_t kTail = 256;
constexpr size_t kChunk = 256 << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<TailedFile>> TailedFile::Open(const std::string& path) {
  // Not blocking: somebody may have put a FIFO there.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return absl::FailedPreconditionError(absl::StrCat(path, ": is not a file"));
  }
  return std::unique_ptr<TailedFile>(
      new TailedFile(fd, {.device = info.st_dev, .inode = info.st_ino}));
}

TailedFile::~TailedFile() { close(fd_); }

TailedFile::Result TailedFile::Read(absl::string_view* bytes) {
  buffer_.resize(kTail + kChunk);
  ssize_t n;
  do {
    n = pread(fd_, buffer_.data(), tail_.size() + kChunk,
              offset_ - static_cast<off_t>(tail_.size()));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return Result::kError;
  const absl::string_view read(buffer_.data(), static_cast<size_t>(n));
  if (read.substr(0, tail_.size()) != tail_) return Result::kCut;
  *bytes = read.substr(tail_.size());
  if (bytes->empty()) {
    buffer_ = {};  // an idle file needs none
    return Result::kEnd;
  }
  offset_ += static_cast<off_t>(bytes->size());
  const absl::string_view tail = read.substr(read.size() - std::min(read.size(), kTail));
  tail_.assign(tail.data(), tail.size());
  return Result::kBytes;
}

void TailedFile::Restart() {
  offset_ = 0;
  tail_.clear();
}

bool TailedFile::SkipWhatWasReadOf(const TailedFile& original) {
  const absl::string_view tail = original.tail_;
  std::string here(tail.size(), '\0');
  const ssize_t n =
      pread(fd_, here.data(), here.size(), original.offset_ - static_cast<off_t>(tail.size()));
  if (tail.empty() || n != static_cast<ssize_t>(tail.size()) || here != tail) return false;
  offset_ = original.offset_;
  tail_ = original.tail_;
  return true;
}

}  // namespace deferd
