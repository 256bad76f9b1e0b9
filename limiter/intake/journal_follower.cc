#include "limiter/intake/journal_follower.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "limiter/intake/batch_writer.h"
#include "limiter/intake/journal_line.h"
#include "limiter/intake/systemd_journal.h"
#include "limiter/port/log.h"
#include "policy/text.h"

namespace deferd {
namespace {

// How often to look for removed entries, so that a gap is distinguished from entries already read.
constexpr int kPassEntries = 1000;

class JournalFollower : public Follower {
 public:
  JournalFollower(const JournalFollowerOptions& options, std::unique_ptr<LogReader> reader,
                  const Clock* clock, Sink sink)
      : options_(options),
        clock_(clock),
        writer_({options.source, options.batch_events, options.resume}, std::move(reader), clock,
                std::move(sink)) {
    if (options_.resume) {
      begun_ = true;
      cursor_ = options_.resume->cursor;
    }
    thread_ = std::thread([this] { Run(); });
  }

  ~JournalFollower() override {
    writer_.Stop();
    thread_.join();
  }

  FollowerStatus status() const override { return writer_.status(); }

 private:
  void Run() {
    while (!writer_.stopped()) {
      absl::Status opened = journal_ == nullptr ? Open() : absl::OkStatus();
      absl::StatusOr<bool> more = false;
      if (opened.ok()) {
        more = ReadSome();
        opened = more.status();
      }
      // Its errors are permanent; a new object continues at the cursor.
      if (!opened.ok()) journal_.reset();
      writer_.SetReadable(opened.ok(), std::string(opened.message()));
      writer_.SetNothingToRead(absl::IsNotFound(opened));
      Flush();
      if (writer_.stopped() || more.value_or(false)) continue;
      writer_.CaughtUp();
      writer_.Wait(journal_ == nullptr ? -1 : journal_->fd());
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
    if (lost) writer_.CountGaps(1);
    cursor_ = journal->Cursor();
    begun_ = true;
    return absl::OkStatus();
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
    writer_.reader()->set_latest(clock_->Now() + absl::Hours(24));
    const absl::Time looked = clock_->Now();
    for (int n = 0; n < kPassEntries && !writer_.stopped(); ++n) {
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
    if (oldest_ ? *oldest_ > read_until_ && *oldest_ > *before : writer_.behind())
      writer_.CountGaps(1);
  }

  void TakeEntry() {
    cursor_ = journal_->Cursor();
    read_until_ = std::max(read_until_, journal_->Received());
    absl::Status read = journal_->Read(&entry_);
    writer_.CountBytes(entry_.message.size());
    if (read.ok() && entry_.suppressed) {
      if (absl::StrContains(entry_.message, options_.mta)) writer_.CountGaps(1);
    } else if (!read.ok()) {
      writer_.CountGaps(1);
    } else if (!IsTheirs() || !JournalLine(entry_, &line_)) {
      writer_.SkipForeign();
    } else if (entry_.too_long) {
      writer_.SkipLine();
    } else {
      writer_.TakeLine(line_);
    }
    if (writer_.full()) Flush();
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

  void Flush() {
    if (!begun_) return;  // otherwise a restart would take it for the start position
    writer_.Flush({.cursor = cursor_});
  }

  const JournalFollowerOptions options_;
  const Clock* const clock_;
  BatchWriter writer_;

  // Used by the thread only.
  std::unique_ptr<SystemdJournal> journal_;       // null: cannot be read now
  bool begun_ = false;                            // a start position was found once
  std::string cursor_;                            // of the last entry read; empty: none
  absl::Time read_until_ = absl::InfinitePast();  // all entries received until then were read
  std::optional<absl::Time> oldest_;  // the oldest remaining entry when files last changed
  JournalEntry entry_;
  std::string line_;
  bool reported_stranger_ = false;  // that entries of another user were seen

  std::thread thread_;
};

}  // namespace

std::unique_ptr<Follower> StartJournalFollower(const JournalFollowerOptions& options,
                                               std::unique_ptr<LogReader> reader,
                                               const Clock* clock, Follower::Sink sink) {
  return std::make_unique<JournalFollower>(options, std::move(reader), clock, std::move(sink));
}

}  // namespace deferd
