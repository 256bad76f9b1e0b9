#include "limiter/intake/follower.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/intake/directory_watch.h"
#include "limiter/intake/tailed_file.h"
#include "limiter/port/mutex.h"

namespace deferd {
namespace {

constexpr int kLookEveryMs = 1000;

class FollowerThread : public Follower {
 public:
  FollowerThread(const FollowerOptions& options, std::unique_ptr<LogReader> reader,
                 const Clock* clock, Sink sink)
      : options_(options),
        clock_(clock),
        sink_(std::move(sink)),
        reader_(std::move(reader)),
        watch_(options.path),
        wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    status_.path = options_.path;
    thread_ = std::thread([this] { Run(); });
  }

  ~FollowerThread() override {
    stop_ = true;
    eventfd_write(wake_fd_, 1);
    thread_.join();
    close(wake_fd_);
  }

  FollowerStatus status() const override {
    const absl::Time now = clock_->Now();
    MutexLock lock(&mutex_);
    FollowerStatus status = status_;
    if (behind_ && last_stamp_ != absl::InfinitePast()) {
      status.lag = std::max(now - last_stamp_, absl::ZeroDuration());
    }
    return status;
  }

 private:
  void Run() {
    while (!stop_) {
      Look();
      ReadAll();
      CloseRotated();
      Flush();
      if (stop_) break;
      SayCaughtUp();
      Wait();
    }
  }

  void Wait() {
    pollfd fds[] = {{.fd = wake_fd_, .events = POLLIN}, {.fd = watch_.fd(), .events = POLLIN}};
    poll(fds, 2, kLookEveryMs);
  }

  // Finds out which file is at the path, and what became of those that were.
  void Look() {
    watch_.Arm();
    NameChanges changes;
    std::optional<FileId> at_path;
    do {  // until what stat said is newer than every event
      at_path = IdAtPath();
    } while (watch_.Take(&changes));

    bool left = false;
    if (current_ != nullptr && at_path != current_->id()) {
      left = true;
      Rotate(current_);
    }
    for (const std::string& name : changes.renamed) {
      left = FollowRenamed(name, left);
    }
    // One of the vanished may be the file that we have open.
    if (changes.vanished > (left ? 1 : 0)) CountGaps(changes.vanished - (left ? 1 : 0));
    if (current_ == nullptr) OpenPath();
  }

  std::optional<FileId> IdAtPath() const {
    struct stat info;
    if (stat(options_.path.c_str(), &info) != 0) return std::nullopt;
    return FileId{.device = info.st_dev, .inode = info.st_ino};
  }

  // A file that had our name and now has another. Returns `left`, or false if it is the one that
  // was open and has left the path.
  bool FollowRenamed(const std::string& name, bool left) {
    auto file = TailedFile::Open(absl::StrCat(watch_.folder(), "/", name));
    if (!file.ok()) {
      if (!left) CountGaps(1);
      return false;
    }
    if (Held((*file)->id()) != nullptr) return false;
    Rotate(Hold(*std::move(file)));
    return left;
  }

  void OpenPath() {
    absl::StatusOr<std::unique_ptr<TailedFile>> file = TailedFile::Open(options_.path);
    const bool missing = absl::IsNotFound(file.status());
    if (file.ok()) {
      TailedFile* held = Held((*file)->id());
      current_ = held != nullptr ? held : Hold(*std::move(file));
      current_->rotated_at = absl::InfiniteFuture();
    }
    MutexLock lock(&mutex_);
    status_.readable = current_ != nullptr;
    status_.problem = current_ != nullptr ? "" : std::string(file.status().message());
    nothing_to_read_ = missing;
  }

  TailedFile* Hold(std::unique_ptr<TailedFile> file) {
    file->watch = watch_.WatchFile(file->fd());
    files_.push_back(std::move(file));
    return files_.back().get();
  }

  TailedFile* Held(FileId id) const {
    for (const auto& file : files_) {
      if (file->id() == id) return file.get();
    }
    return nullptr;
  }

  void Rotate(TailedFile* file) {
    file->rotated_at = clock_->Now();
    if (file == current_) current_ = nullptr;
  }

  void ReadAll() {
    for (const auto& file : files_) {
      absl::string_view bytes;
      for (bool more = true; more && !stop_;) {
        switch (file->Read(&bytes)) {
          case TailedFile::Result::kBytes:
            Feed(bytes, file.get());
            break;
          case TailedFile::Result::kCut:
            ReadRestFromCopy(file.get());
            break;
          case TailedFile::Result::kEnd:
            more = false;
            break;
          case TailedFile::Result::kError:
            SayProblem(absl::StrCat(options_.path, ": cannot be read"));
            more = false;
            break;
        }
      }
    }
  }

  // The file was cut. If a copy of it was made before, nothing is lost but what came in between.
  void ReadRestFromCopy(TailedFile* file) {
    bool found = false;
    for (const std::string& path : Siblings()) {
      auto copy = TailedFile::Open(path);
      if (!copy.ok() || Held((*copy)->id()) != nullptr) continue;
      if (!(*copy)->SkipWhatWasReadOf(*file)) continue;
      found = true;
      absl::string_view bytes;
      while (!stop_ && (*copy)->Read(&bytes) == TailedFile::Result::kBytes) Feed(bytes, file);
      break;
    }
    if (!found || file->splitter.mid_line()) CountGaps(1);
    file->splitter.Reset();
    file->Restart();
  }

  // "mainlog.1", "mainlog-20261122" and so on.
  std::vector<std::string> Siblings() const {
    std::vector<std::string> paths;
    std::error_code error;
    std::filesystem::directory_iterator entry(watch_.folder(), error), end;
    for (; !error && entry != end; entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (name.size() > watch_.name().size() && absl::StartsWith(name, watch_.name())) {
        paths.push_back(entry->path().string());
      }
    }
    return paths;
  }

  // Rotated files that nobody is expected to write to any more, and that were read to their end.
  void CloseRotated() {
    if (stop_) return;
    const absl::Time now = clock_->Now();
    for (auto it = files_.begin(); it != files_.end();) {
      TailedFile& file = **it;
      if (&file == current_ || now - file.rotated_at < options_.keep_rotated) {
        ++it;
        continue;
      }
      file.splitter.Finish([this](absl::string_view line) { TakeLine(line); },
                           [this] { SkipLine(); });
      watch_.ForgetFile(file.watch);
      it = files_.erase(it);
    }
  }

  void Feed(absl::string_view bytes, TailedFile* file) {
    {
      MutexLock lock(&mutex_);
      behind_ = true;
      if (file == current_ && !status_.readable) {
        status_.readable = true;
        status_.problem.clear();
      }
      status_.bytes += static_cast<int64_t>(bytes.size());
    }
    reader_->set_latest(clock_->Now() + absl::Hours(24));
    file->splitter.Feed(
        bytes, [this](absl::string_view line) { TakeLine(line); }, [this] { SkipLine(); });
  }

  void TakeLine(absl::string_view line) {
    reader_->ReadLine(line, Batch());
    if (batch_->size() >= options_.batch_events) Flush();
  }

  void SkipLine() { reader_->SkipLine(Batch()); }

  EventBatch* Batch() {
    if (batch_ == nullptr) batch_ = std::make_unique<EventBatch>();
    return batch_.get();
  }

  void Flush() {
    if (batch_ == nullptr) return;
    {
      MutexLock lock(&mutex_);
      last_stamp_ = reader_->last_stamp();
      status_.open_messages = reader_->open_messages();
      status_.evicted = reader_->evicted();
    }
    if (refused_ || !sink_(std::exchange(batch_, nullptr))) {
      refused_ = true;
      stop_ = true;
    }
  }

  void SayCaughtUp() {
    MutexLock lock(&mutex_);
    behind_ = false;
    if (status_.readable || nothing_to_read_) status_.at_end = true;
  }

  void SayProblem(absl::string_view problem) {
    absl::ConsumePrefix(&problem, absl::StrCat(options_.path, ": "));  // stands beside it already
    MutexLock lock(&mutex_);
    status_.readable = false;
    status_.problem = std::string(problem);
  }

  void CountGaps(int gaps) {
    MutexLock lock(&mutex_);
    status_.gaps += gaps;
  }

  const FollowerOptions options_;
  const Clock* const clock_;
  const Sink sink_;

  mutable Mutex mutex_;
  FollowerStatus status_ ABSL_GUARDED_BY(mutex_);
  bool behind_ ABSL_GUARDED_BY(mutex_) = false;           // bytes were read and not handed over
  bool nothing_to_read_ ABSL_GUARDED_BY(mutex_) = false;  // no file is there
  absl::Time last_stamp_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // The thread's own.
  std::unique_ptr<LogReader> reader_;
  DirectoryWatch watch_;
  std::vector<std::unique_ptr<TailedFile>> files_;  // in the order in which they had the name
  TailedFile* current_ = nullptr;                   // the one that has it, if open
  std::unique_ptr<EventBatch> batch_;
  bool refused_ = false;  // the sink wants no more

  const int wake_fd_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Follower> Follower::Start(const FollowerOptions& options,
                                          std::unique_ptr<LogReader> reader, const Clock* clock,
                                          Sink sink) {
  return std::make_unique<FollowerThread>(options, std::move(reader), clock, std::move(sink));
}

}  // namespace deferd
