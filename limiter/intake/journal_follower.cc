#include "limiter/intake/journal_follower.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "limiter/intake/journal_line.h"
#include "limiter/intake/systemd_journal.h"
#include "limiter/port/log.h"
#include "limiter/port/mutex.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr int kLookEveryMs = 1000;

// How often to look for removed entries, so that a gap is distinguished from entries already read.
constexpr int kPassEntries = 1000;

class JournalFollower : public Follower {
 public:
  JournalFollower(const JournalFollowerOptions& options, std::unique_ptr<LogReader> reader,
                  const Clock* clock, Sink sink)
      : options_(options),
        clock_(clock),
        sink_(std::move(sink)),
        reader_(std::move(reader)),
        tally_(clock->Now()),
        wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    status_.path = options_.source;
    if (options_.resume) {
      begun_ = true;
      sent_ = *options_.resume;
      cursor_ = sent_.cursor;
      status_.gaps = sent_.gaps;
      status_.last_gap = sent_.last_gap;
    }
    thread_ = std::thread([this] { Run(); });
  }

  ~JournalFollower() override {
    stop_ = true;
    eventfd_write(wake_fd_, 1);
    thread_.join();
    close(wake_fd_);
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

 private:
  void Run() {
    while (!stop_) {
      absl::Status opened = journal_ == nullptr ? Open() : absl::OkStatus();
      absl::StatusOr<bool> more = false;
      if (opened.ok()) {
        more = ReadSome();
        opened = more.status();
      }
      // Its errors are permanent; a new object continues at the cursor.
      if (!opened.ok()) journal_.reset();
      SayWhatIsThere(opened);
      Flush();
      if (stop_ || more.value_or(false)) continue;
      SayCaughtUp();
      Wait();
    }
  }

  absl::Status Open() {
    absl::StatusOr<std::unique_ptr<SystemdJournal>> journal =
        SystemdJournal::Open(options_.directory);
    // Everything in a journal that is created later is new.
    begun_ = begun_ || absl::IsNotFound(journal.status());
    if (!journal.ok()) return journal.status();
    absl::Status begun = Begin(journal->get());
    if (!begun.ok()) return begun;
    journal_ = *std::move(journal);
    oldest_ = journal_->Oldest();
    return absl::OkStatus();
  }

  absl::Status Begin(SystemdJournal* journal) {
    absl::Status found;
    bool lost = false;
    if (!cursor_.empty()) {
      absl::StatusOr<bool> same = journal->SeekCursor(cursor_);
      lost = !same.value_or(false);
      found = same.status();
    } else if (begun_) {
      found = journal->SeekHead();  // everything in it is new
    }
    if (!begun_ || absl::IsInvalidArgument(found)) {
      found = journal->SeekTime(clock_->Now() - options_.read_back);
    }
    if (!found.ok()) return found;
    if (lost) CountGap();
    cursor_ = journal->Cursor();
    begun_ = true;
    return absl::OkStatus();
  }

  void Wait() {
    pollfd fds[] = {{.fd = wake_fd_, .events = POLLIN},
                    {.fd = journal_ == nullptr ? -1 : journal_->fd(), .events = POLLIN}};
    poll(fds, 2, kLookEveryMs);
  }

  // Reads one pass of entries; returns whether more may follow at once.
  absl::StatusOr<bool> ReadSome() {
    absl::StatusOr<bool> files_changed = journal_->Process();
    if (!files_changed.ok()) return files_changed.status();
    if (*files_changed) {
      LookForLoss();
      absl::Status there = SystemdJournal::Check(options_.directory);
      if (!there.ok()) return there;
    }
    reader_->set_latest(clock_->Now() + absl::Hours(24));
    const absl::Time looked = clock_->Now();
    for (int n = 0; n < kPassEntries && !stop_; ++n) {
      absl::StatusOr<bool> found = journal_->Next();
      if (!found.ok()) return found.status();
      if (!*found) {
        read_until_ = std::max(read_until_, looked);
        return false;
      }
      TakeEntry();
    }
    return true;
  }

  // Entries between the last one read and the oldest remaining one are unknown.
  void LookForLoss() {
    const std::optional<absl::Time> before = std::exchange(oldest_, journal_->Oldest());
    if (read_until_ == absl::InfinitePast() || !before) return;
    if (oldest_ ? *oldest_ > read_until_ && *oldest_ > *before : behind()) CountGap();
  }

  void TakeEntry() {
    cursor_ = journal_->Cursor();
    read_until_ = std::max(read_until_, journal_->Received());
    absl::Status read = journal_->Read(&entry_);
    {
      MutexLock lock(&mutex_);
      behind_ = true;
      status_.bytes += static_cast<int64_t>(entry_.message.size());
    }
    if (read.ok() && entry_.suppressed) {
      if (absl::StrContains(entry_.message, options_.mta)) CountGap();
    } else if (!read.ok()) {
      CountGap();
    } else if (!IsTheirs() || !JournalLine(entry_, &line_)) {
      LineCounts& counts = Batch()->counts;
      ++counts.lines;
      ++counts.not_mine;
    } else if (entry_.too_long) {
      tally_.Skip(reader_.get(), Batch());
    } else {
      tally_.Read(reader_.get(), line_, Batch());
    }
    if (batch_ != nullptr && batch_->size() >= options_.batch_events) Flush();
  }

  bool IsTheirs() {
    if (!entry_.uid) return true;
    const std::vector<uid_t>& writers = options_.writers;
    if (std::find(writers.begin(), writers.end(), *entry_.uid) != writers.end()) return true;
    if (!std::exchange(reported_stranger_, true)) {
      spdlog::warn(
          "{}: ignoring entries of user {} as {}, because only the mail server's entries are "
          "trusted; "
          "if the mail server runs as that user, add the user to [intake] journal_users",
          options_.source, *entry_.uid, Quoted(entry_.identifier));
    }
    return false;
  }

  EventBatch* Batch() {
    if (batch_ == nullptr) batch_ = std::make_unique<EventBatch>();
    return batch_.get();
  }

  LogPosition Position() {
    LogPosition position = {.cursor = cursor_, .reader = reader_->SaveState()};
    MutexLock lock(&mutex_);
    position.gaps = status_.gaps;
    position.last_gap = status_.last_gap;
    return position;
  }

  void Flush() {
    if (!begun_) return;  // otherwise a restart would take it for the start position
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
    Batch()->position = {.source = options_.source, .position = position};
    sent_ = std::move(position);
    if (refused_ || !sink_(std::exchange(batch_, nullptr))) {
      refused_ = true;
      stop_ = true;
    }
  }

  void SayWhatIsThere(const absl::Status& there) {
    MutexLock lock(&mutex_);
    status_.readable = there.ok();
    status_.problem = std::string(there.message());
    nothing_to_read_ = absl::IsNotFound(there);
  }

  void SayCaughtUp() {
    MutexLock lock(&mutex_);
    behind_ = false;
    if (status_.readable || nothing_to_read_) status_.at_end = true;
  }

  void CountGap() {
    MutexLock lock(&mutex_);
    ++status_.gaps;
    status_.last_gap = clock_->Now();
  }

  bool behind() const {
    MutexLock lock(&mutex_);
    return behind_;
  }

  const JournalFollowerOptions options_;
  const Clock* const clock_;
  const Sink sink_;

  mutable Mutex mutex_;
  FollowerStatus status_ ABSL_GUARDED_BY(mutex_);
  bool behind_ ABSL_GUARDED_BY(mutex_) = false;  // entries were read since the end was last reached
  bool nothing_to_read_ ABSL_GUARDED_BY(mutex_) = false;  // no journal exists
  absl::Time last_stamp_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // Used by the thread only.
  std::unique_ptr<LogReader> reader_;
  ReadTally tally_;
  std::unique_ptr<SystemdJournal> journal_;       // null: cannot be read now
  bool begun_ = false;                            // a start position was found once
  std::string cursor_;                            // of the last entry read; empty: none
  absl::Time read_until_ = absl::InfinitePast();  // all entries received until then were read
  std::optional<absl::Time> oldest_;  // the oldest remaining entry when files last changed
  JournalEntry entry_;
  std::string line_;
  LogPosition sent_;  // position of the last batch, or of the start
  std::unique_ptr<EventBatch> batch_;
  bool refused_ = false;            // the sink accepts no more
  bool reported_stranger_ = false;  // that entries of another user were seen

  const int wake_fd_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Follower> StartJournalFollower(const JournalFollowerOptions& options,
                                               std::unique_ptr<LogReader> reader,
                                               const Clock* clock, Follower::Sink sink) {
  return std::make_unique<JournalFollower>(options, std::move(reader), clock, std::move(sink));
}

}  // namespace deferd
