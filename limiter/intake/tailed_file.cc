#include "limiter/intake/tailed_file.h"

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace deferd {
namespace {

constexpr size_t kHead = 1024;
constexpr size_t kTail = 256;
constexpr size_t kChunk = 256 << 10;

ssize_t ReadAt(int fd, char* to, size_t size, int64_t offset) {
  ssize_t n;
  do {
    n = pread(fd, to, size, static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  return n;
}

// The bytes from `offset` on that are there, `size` at most.
std::string BytesAt(int fd, size_t size, int64_t offset) {
  std::string bytes(size, '\0');
  const ssize_t n = ReadAt(fd, bytes.data(), size, offset);
  bytes.resize(n < 0 ? 0 : static_cast<size_t>(n));
  return bytes;
}

absl::string_view Last(absl::string_view text, size_t n) {
  return text.substr(text.size() - std::min(text.size(), n));
}

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
  std::unique_ptr<TailedFile> file(
      new TailedFile(fd, {.device = info.st_dev, .inode = info.st_ino}));
  if (BytesAt(fd, kGzipMagic.size(), 0) == kGzipMagic)
    file->inflater_ = std::make_unique<Inflater>();
  return file;
}

TailedFile::~TailedFile() { close(fd_); }

TailedFile::Result TailedFile::Read(absl::string_view* bytes) {
  return packed() ? ReadPacked(bytes) : ReadPlain(bytes);
}

TailedFile::Result TailedFile::ReadPlain(absl::string_view* bytes) {
  window_ = {};
  buffer_.resize(kTail + kChunk);
  const ssize_t n = ReadAt(fd_, buffer_.data(), tail_.size() + kChunk,
                           offset_ - static_cast<int64_t>(tail_.size()));
  if (n < 0) return Result::kError;
  const absl::string_view read(buffer_.data(), static_cast<size_t>(n));
  if (read.substr(0, tail_.size()) != tail_) return Result::kCut;
  *bytes = read.substr(tail_.size());
  if (bytes->empty()) {
    buffer_ = {};  // an idle file needs none
    return Result::kEnd;
  }
  window_ = read;
  Passed(*bytes);
  return Result::kBytes;
}

TailedFile::Result TailedFile::ReadPacked(absl::string_view* bytes) {
  const std::string again = std::exchange(again_, {});
  absl::string_view out = again;
  while (out.empty()) {
    if (packed_rest_.empty()) {
      packed_.resize(kChunk);
      const ssize_t n = ReadAt(fd_, packed_.data(), packed_.size(), packed_offset_);
      if (n < 0) return Result::kError;
      if (n == 0) return inflater_->at_end() ? Result::kEnd : Result::kError;
      packed_offset_ += n;
      packed_rest_ = absl::string_view(packed_.data(), static_cast<size_t>(n));
    }
    if (!inflater_->Inflate(&packed_rest_, &out)) return Result::kError;
  }
  buffer_.assign(tail_.begin(), tail_.end());
  buffer_.insert(buffer_.end(), out.begin(), out.end());
  window_ = absl::string_view(buffer_.data(), buffer_.size());
  *bytes = window_.substr(tail_.size());
  Passed(*bytes);
  return Result::kBytes;
}

// `bytes` end window_.
void TailedFile::Passed(absl::string_view bytes) {
  offset_ += static_cast<int64_t>(bytes.size());
  const absl::string_view head = bytes.substr(0, kHead - head_.size());
  head_.append(head.data(), head.size());
  const absl::string_view tail = Last(window_, kTail);
  tail_.assign(tail.data(), tail.size());
}

void TailedFile::Restart() {
  offset_ = 0;
  head_.clear();
  tail_.clear();
  window_ = {};
  line_offset_ = 0;
  line_tail_.clear();
  position_is_good_ = false;
  splitter.Reset();
}

bool TailedFile::GoTo(const FilePosition& position) {
  if (position.offset == 0) return true;
  if (!packed()) {
    struct stat info;
    if (fstat(fd_, &info) != 0 || info.st_size < position.offset) return false;
    head_ = BytesAt(fd_, static_cast<size_t>(position.head_length), 0);
    tail_ = BytesAt(fd_, static_cast<size_t>(position.tail_length),
                    position.offset - position.tail_length);
    offset_ = position.offset;
  } else {
    absl::string_view bytes;
    do {
      if (Read(&bytes) != Result::kBytes) return false;
    } while (offset_ < position.offset);
    const auto beyond = static_cast<size_t>(offset_ - position.offset);
    head_.resize(static_cast<size_t>(position.head_length));
    again_.assign(bytes.data() + bytes.size() - beyond, beyond);
    window_.remove_suffix(beyond);
    const absl::string_view tail = Last(window_, kTail);
    tail_.assign(tail.data(), tail.size());
    offset_ = position.offset;
  }
  if (HashOf(head_) != position.head_hash || HashOf(tail_) != position.tail_hash) return false;
  line_offset_ = offset_;
  line_tail_ = tail_;
  position_is_good_ = false;
  splitter.Reset(offset_);
  return true;
}

bool TailedFile::SkipToEnd() {
  if (packed()) {
    absl::string_view bytes;
    Result result;
    do {
      result = Read(&bytes);
    } while (result == Result::kBytes);
    if (result != Result::kEnd) return false;
  } else {
    struct stat info;
    if (fstat(fd_, &info) != 0) return false;
    const int64_t tail = std::min<int64_t>(info.st_size, kTail);
    head_ = BytesAt(fd_, kHead, 0);
    tail_ = BytesAt(fd_, static_cast<size_t>(tail), info.st_size - tail);
    offset_ = info.st_size;
  }
  line_offset_ = offset_;
  line_tail_ = tail_;
  position_is_good_ = false;
  splitter.Reset(offset_);
  return true;
}

bool TailedFile::TakeOver(const TailedFile& original) {
  const FilePosition read_to = {
      .offset = original.offset_,
      .head_length = static_cast<int64_t>(original.head_.size()),
      .head_hash = HashOf(original.head_),
      .tail_length = static_cast<int64_t>(original.tail_.size()),
      .tail_hash = HashOf(original.tail_),
  };
  if (read_to.offset == 0 || !GoTo(read_to)) return false;
  splitter = original.splitter;
  line_offset_ = original.line_offset_;
  line_tail_ = original.line_tail_;
  position_is_good_ = false;
  return true;
}

void TailedFile::MarkLine(int64_t offset) {
  if (offset == line_offset_) return;
  line_offset_ = offset;
  absl::string_view text = tail_;  // the window may be gone by now
  if (offset != offset_) {
    text = window_.substr(0, window_.size() - static_cast<size_t>(offset_ - offset));
  }
  const absl::string_view tail = Last(text, kTail);
  line_tail_.assign(tail.data(), tail.size());
  position_is_good_ = false;
}

FilePosition TailedFile::position() const {
  if (!position_is_good_) {
    const absl::string_view head = absl::string_view(head_).substr(
        0, static_cast<size_t>(std::min<int64_t>(line_offset_, kHead)));
    position_ = {.device = id_.device,
                 .inode = id_.inode,
                 .offset = line_offset_,
                 .head_length = static_cast<int64_t>(head.size()),
                 .head_hash = HashOf(head),
                 .tail_length = static_cast<int64_t>(line_tail_.size()),
                 .tail_hash = HashOf(line_tail_)};
    position_is_good_ = true;
  }
  position_.rotated = rotated_at != absl::InfiniteDuration();
  return position_;
}

std::string TailedFile::Head() const {
  if (!packed()) return BytesAt(fd_, kHead, 0);
  const std::string packed = BytesAt(fd_, kChunk, 0);
  absl::string_view rest = packed;
  Inflater inflater;
  std::string head;
  absl::string_view out;
  while (head.size() < kHead && !rest.empty() && inflater.Inflate(&rest, &out)) {
    head.append(out.data(), std::min(out.size(), kHead - head.size()));
  }
  return head;
}

uint64_t HashOf(absl::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  uint64_t hash = 0;
  for (int i = 7; i >= 0; --i) hash = hash << 8 | digest[i];
  return hash;
}

}  // namespace deferd
