#include "limiter/intake/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/intake/inflater.h"
#include "limiter/intake/line_splitter.h"
#include "limiter/port/clock.h"

namespace deferd {
namespace {

constexpr size_t kLogChunk = 256 << 10;
constexpr size_t kLogHead = 64 << 10;

// Bytes of a descriptor, with a buffer of its own.
class RawBytes {
 public:
  RawBytes(int fd, std::string name) : fd_(fd), name_(std::move(name)), buffer_(kLogChunk) {}
  ~RawBytes() {
    if (fd_ != STDIN_FILENO) close(fd_);
  }
  RawBytes(const RawBytes&) = delete;
  RawBytes& operator=(const RawBytes&) = delete;

  // The next bytes; empty at the end. Valid until the next call. The first result has at least two
  // bytes if the file has, so that gzip can be detected.
  absl::StatusOr<absl::string_view> Next() {
    size_t size = 0;
    do {
      const ssize_t n = read(fd_, buffer_.data() + size, buffer_.size() - size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::UnavailableError(absl::StrCat(name_, ": ", strerror(errno)));
      if (n == 0) break;
      size += static_cast<size_t>(n);
    } while (count_ == 0 && size < kGzipMagic.size());
    count_ += static_cast<int64_t>(size);
    return absl::string_view(buffer_.data(), size);
  }

  int64_t count() const { return count_; }
  const std::string& name() const { return name_; }

 private:
  const int fd_;
  const std::string name_;
  std::vector<char> buffer_;
  int64_t count_ = 0;
};

class OpenedFile : public LogFile {
 public:
  OpenedFile(int fd, const std::string& name, absl::Time modified, int64_t size)
      : raw_(fd, name), modified_(modified), size_(size) {}

  absl::Time modified() const override { return modified_; }
  int64_t size() const override { return size_; }
  int64_t bytes_read() const override { return raw_.count(); }

  absl::string_view head() override {
    if (!started_) {
      started_ = true;
      while (head_.size() < kLogHead && NextChunk()) head_.append(chunk_.data(), chunk_.size());
      chunk_ = head_;
    }
    return absl::string_view(head_).substr(0, kLogHead);
  }

  absl::StatusOr<bool> Read(LogReader* reader, size_t max_events, EventBatch* batch) override {
    if (!latest_set_) {
      latest_set_ = true;
      const absl::Time last = modified_ == absl::InfiniteFuture() ? SystemClock().Now() : modified_;
      reader->set_latest(last + absl::Hours(24));
    }
    started_ = true;
    const int64_t lines_before = batch->counts.lines;
    const auto on_line = [&](absl::string_view line) { reader->ReadLine(line, batch); };
    const auto on_skipped = [&] { reader->SkipLine(batch); };
    while (batch->size() < max_events) {
      if (chunk_.empty() && !NextChunk()) {
        if (!status_.ok()) {
          if (batch->counts.lines != lines_before) return true;
          return status_;
        }
        splitter_.Finish(on_line, on_skipped);
        return false;
      }
      // Feeds single lines, to stop inside a chunk.
      const size_t lf = chunk_.find('\n');
      const size_t size = lf == absl::string_view::npos ? chunk_.size() : lf + 1;
      splitter_.Feed(chunk_.substr(0, size), on_line, on_skipped);
      chunk_.remove_prefix(size);
    }
    return true;
  }

 private:
  // Adds decompressed bytes to chunk_. False at the end, or if status_ is not OK.
  bool NextChunk() {
    while (status_.ok()) {
      if (raw_chunk_.empty() && !NextRawChunk()) return false;
      if (inflater_ == nullptr) {
        chunk_ = std::exchange(raw_chunk_, {});
        return true;
      }
      if (!inflater_->Inflate(&raw_chunk_, &chunk_)) status_ = Damaged();
      if (!chunk_.empty()) return true;
    }
    return false;
  }

  bool NextRawChunk() {
    const bool first = raw_.count() == 0;
    absl::StatusOr<absl::string_view> bytes = raw_.Next();
    if (!bytes.ok()) {
      status_ = bytes.status();
      return false;
    }
    raw_chunk_ = *bytes;
    if (first && absl::StartsWith(raw_chunk_, kGzipMagic)) inflater_ = std::make_unique<Inflater>();
    if (!raw_chunk_.empty()) return true;
    if (inflater_ != nullptr && !inflater_->at_end()) status_ = Damaged();
    return false;
  }

  absl::Status Damaged() const {
    return absl::DataLossError(absl::StrCat(raw_.name(), ": damaged gzip file"));
  }

  RawBytes raw_;
  const absl::Time modified_;
  const int64_t size_;
  std::unique_ptr<Inflater> inflater_;
  absl::string_view raw_chunk_;  // read, not decompressed yet
  absl::string_view chunk_;      // decompressed, not fed yet
  std::string head_;             // read ahead by head()
  bool started_ = false;
  bool latest_set_ = false;
  absl::Status status_;
  LineSplitter splitter_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LogFile>> LogFile::Open(const std::string& path) {
  if (path == "-") {
    return std::make_unique<OpenedFile>(STDIN_FILENO, "standard input", absl::InfiniteFuture(), 0);
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  struct stat info;
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    return absl::ErrnoToStatus(error, path);
  }
  if (S_ISDIR(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  }
  return std::make_unique<OpenedFile>(fd, path, absl::TimeFromTimespec(info.st_mtim),
                                      S_ISREG(info.st_mode) ? info.st_size : 0);
}

}  // namespace deferd
