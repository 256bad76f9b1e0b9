#include "limiter/intake/follower.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/intake/open_files.h"
#include "limiter/intake/tailed_file.h"
#include "limiter/port/mutex.h"

namespace deferd {
namespace {

constexpr int kLookEveryMs = 1000;

// All of a follower but its thread.
class Following : public SteppedFollower {
 public:
  Following(const FollowerOptions& options, std::unique_ptr<LogReader> reader, const Clock* clock,
            Sink sink)
      : options_(options),
        clock_(clock),
        sink_(std::move(sink)),
        reader_(std::move(reader)),
        tally_(clock->Now()),
        files_(options.path, clock) {
    status_.path = options_.path;
    if (options_.resume) {
      sent_ = *options_.resume;
      status_.gaps = sent_.gaps;
      status_.last_gap = sent_.last_gap;
    }
  }

  FollowerStatus status() const override {
    const absl::Time now = clock_->Now();
    MutexLock lock(&mutex_);
    FollowerStatus status = status_;
    status.last_stamp = last_stamp_;
    if (behind_ && last_stamp_ != absl::InfinitePast()) {
      status.lag = std::max(now - last_stamp_, absl::ZeroDuration());
    }
    return status;
  }

  bool Look() override {
    if (!begun_) {
      begun_ = true;
      CountGaps(
          files_.Begin(options_.resume ? &*options_.resume : nullptr, options_.read_rotated_first));
    }
    if (stop_) return false;
    const absl::Time began_to_read = clock_->Now();
    CountGaps(files_.Look());
    SayWhatIsAtPath();
    ReadAll();
    CloseRotated();
    Flush();
    if (stop_) return false;
    // Otherwise files found later were written before.
    const bool saw_all = files_.current() != nullptr && unreadable_ == nullptr &&
                         files_.unreadable().empty() && !files_.undecided();
    if (saw_all) caught_up_ = began_to_read;
    SayCaughtUp();
    return true;
  }

  // From any thread: a look that goes on ends soon, the next one does nothing.
  void Stop() { stop_ = true; }
  int fd() const { return files_.fd(); }

 private:
  void SayWhatIsAtPath() {
    MutexLock lock(&mutex_);
    // Whether it can be read shows when reading; see ReadAll.
    if (files_.current() != nullptr && unreadable_ == files_.current()) return;
    status_.readable = files_.current() != nullptr;
    status_.problem = "";
    if (!files_.unreadable().empty()) {
      status_.problem = absl::StrCat(files_.unreadable(),
                                     ": cannot be opened; it may hold lines not read yet, and is "
                                     "tried again");
    }
    if (!status_.readable) status_.problem = std::string(files_.problem().message());
    if (files_.undecided()) {
      absl::StrAppend(&status_.problem, "; reading goes on where it ended as soon as it is there");
    }
    nothing_to_read_ =
        !status_.readable && !files_.undecided() && absl::IsNotFound(files_.problem());
  }

  void ReadAll() {
    for (size_t i = 0; i < files_.files().size(); ++i) {
      for (bool more = !files_.files()[i]->damaged; more && !stop_;) {
        TailedFile* file = files_.files()[i].get();
        absl::string_view bytes;
        switch (file->Read(&bytes)) {
          case TailedFile::Result::kBytes:
            SayReadable(file);
            Feed(bytes, file);
            break;
          case TailedFile::Result::kCut:
            if (files_.TakeUpCopy(i)) {
              files_.files()[i + 1]->Restart();
            } else {
              file->Restart();
              CountGaps(1);
            }
            break;
          case TailedFile::Result::kEnd:
            SayReadable(file);
            more = false;
            if (file->packed() && file != files_.current()) FinishLine(file);
            EndCopy(file);
            break;
          case TailedFile::Result::kError:
            SayUnreadable(file);
            more = false;
            break;
        }
      }
    }
  }

  // After a copy the file continues with a new line: half a line is lost.
  void EndCopy(TailedFile* file) {
    if (!file->is_copy || file->packed() || !file->splitter.mid_line()) return;
    file->splitter.Reset(file->splitter.fed());
    file->MarkLine(file->splitter.line_end());
    file->is_copy = false;
    CountGaps(1);
  }

  // Nobody will complete the last line: it counts as a line.
  void FinishLine(TailedFile* file) {
    feeding_ = file;
    file->splitter.Finish([this](absl::string_view line) { TakeLine(line); },
                          [this] { SkipLine(); });
    file->MarkLine(file->splitter.line_end());
    feeding_ = nullptr;
  }

  // Files that no writer is expected to use any more and that were read to their end.
  void CloseRotated() {
    if (stop_) return;
    const absl::Time now = clock_->Now();
    for (size_t i = 0; i < files_.files().size();) {
      TailedFile* file = files_.files()[i].get();
      const bool over = now - file->rotated_at >= options_.keep_rotated;
      if (file == files_.current() || !over) {
        ++i;
        continue;
      }
      FinishLine(file);
      if (unreadable_ == file) unreadable_ = nullptr;
      files_.Close(i);
    }
  }

  void Feed(absl::string_view bytes, TailedFile* file) {
    {
      MutexLock lock(&mutex_);
      behind_ = true;
      status_.bytes += static_cast<int64_t>(bytes.size());
    }
    const absl::Time now = clock_->Now();
    reader_->set_latest(now + absl::Hours(24));
    // Not if the clock was set back meanwhile.
    reader_->set_written(caught_up_ <= now ? caught_up_ : absl::InfinitePast(), now);
    feeding_ = file;
    file->splitter.Feed(
        bytes, [this](absl::string_view line) { TakeLine(line); }, [this] { SkipLine(); });
    file->MarkLine(file->splitter.line_end());
    feeding_ = nullptr;
  }

  void TakeLine(absl::string_view line) {
    tally_.Read(reader_.get(), line, Batch());
    if (batch_->size() >= options_.batch_events) Flush();
  }

  void SkipLine() { tally_.Skip(reader_.get(), Batch()); }

  EventBatch* Batch() {
    if (batch_ == nullptr) batch_ = std::make_unique<EventBatch>();
    return batch_.get();
  }

  LogPosition Position() {
    if (feeding_ != nullptr) feeding_->MarkLine(feeding_->splitter.line_end());
    LogPosition position = {.files = files_.Positions(), .reader = reader_->SaveState()};
    MutexLock lock(&mutex_);
    position.gaps = status_.gaps;
    position.last_gap = status_.last_gap;
    return position;
  }

  void Flush() {
    LogPosition position = Position();
    const bool moved = !(position == sent_);
    if (batch_ == nullptr && !moved) return;
    {
      MutexLock lock(&mutex_);
      last_stamp_ = reader_->last_stamp();
      status_.open_messages = reader_->open_messages();
      status_.evicted = reader_->evicted();
      status_.read = tally_.counts();
    }
    Batch()->position = {.source = options_.path, .position = position};
    sent_ = std::move(position);
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

  void SayUnreadable(TailedFile* file) {
    if (file->packed() && file != files_.current()) {
      // Everything before the damage was read. The file stays open, so that it is recognised later.
      file->damaged = true;
      CountGaps(1);
      return;
    }
    if (file != files_.current()) return;
    unreadable_ = file;
    MutexLock lock(&mutex_);
    status_.readable = false;
    status_.problem = "cannot be read";
  }

  void SayReadable(const TailedFile* file) {
    if (unreadable_ != file) return;
    unreadable_ = nullptr;
    MutexLock lock(&mutex_);
    status_.readable = true;
    status_.problem.clear();
  }

  void CountGaps(int gaps) {
    if (gaps == 0) return;
    MutexLock lock(&mutex_);
    status_.gaps += gaps;
    status_.last_gap = clock_->Now();
  }

  const FollowerOptions options_;
  const Clock* const clock_;
  const Sink sink_;

  mutable Mutex mutex_;
  FollowerStatus status_ ABSL_GUARDED_BY(mutex_);
  bool behind_ ABSL_GUARDED_BY(mutex_) = false;           // bytes were read and not delivered yet
  bool nothing_to_read_ ABSL_GUARDED_BY(mutex_) = false;  // no file exists
  absl::Time last_stamp_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // Used by whoever calls Look only.
  std::unique_ptr<LogReader> reader_;
  ReadTally tally_;
  OpenFiles files_;
  TailedFile* feeding_ = nullptr;           // the file whose lines are being read
  const TailedFile* unreadable_ = nullptr;  // the one at the path, if its last read failed
  LogPosition sent_;                        // position of the last batch, or of the start
  std::unique_ptr<EventBatch> batch_;
  absl::Time caught_up_ = absl::InfinitePast();  // everything written until then was read
  bool refused_ = false;                         // the sink accepts no more
  bool begun_ = false;

  std::atomic<bool> stop_ = false;
};

class FollowerThread : public Follower {
 public:
  FollowerThread(const FollowerOptions& options, std::unique_ptr<LogReader> reader,
                 const Clock* clock, Sink sink)
      : following_(options, std::move(reader), clock, std::move(sink)),
        wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
        thread_([this] { Run(); }) {}

  ~FollowerThread() override {
    following_.Stop();
    eventfd_write(wake_fd_, 1);
    thread_.join();
    close(wake_fd_);
  }

  FollowerStatus status() const override { return following_.status(); }

 private:
  void Run() {
    while (following_.Look()) {
      pollfd fds[] = {{.fd = wake_fd_, .events = POLLIN},
                      {.fd = following_.fd(), .events = POLLIN}};
      poll(fds, 2, kLookEveryMs);
    }
  }

  Following following_;
  const int wake_fd_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Follower> Follower::Start(const FollowerOptions& options,
                                          std::unique_ptr<LogReader> reader, const Clock* clock,
                                          Sink sink) {
  return std::make_unique<FollowerThread>(options, std::move(reader), clock, std::move(sink));
}

std::unique_ptr<SteppedFollower> SteppedFollower::New(const FollowerOptions& options,
                                                      std::unique_ptr<LogReader> reader,
                                                      const Clock* clock, Sink sink) {
  return std::make_unique<Following>(options, std::move(reader), clock, std::move(sink));
}

}  // namespace deferd
