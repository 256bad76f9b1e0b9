// A journal in a folder of its own, written by systemd-journal-remote(8), and a follower of it that
// is started and killed. Nothing sleeps: it waits for a status, with a bound.

#ifndef DEFERD_TESTS_LIMITER_INTAKE_JOURNAL_STATION_H_
#define DEFERD_TESTS_LIMITER_INTAKE_JOURNAL_STATION_H_

#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/intake/journal_follower.h"
#include "limiter/intake/postfix_reader.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"

namespace deferd {

// What one entry is made of; `time` is both of its times.
struct NewEntry {
  std::string message;
  absl::Time time;
  std::string identifier = "postfix/smtp";
  int uid = 0;
  int facility = 2;
  std::string more;  // fields, a line each
};

class JournalStation {
 public:
  JournalStation() {
    folder_ = testing::TempDir() + "/journal_XXXXXX";
    if (mkdtemp(folder_.data()) == nullptr) abort();
  }
  ~JournalStation() {
    Kill();
    std::filesystem::remove_all(folder_);
  }

  static absl::Time Noon() {
    return absl::FromCivil(absl::CivilHour(2026, 11, 22, 12), absl::UTCTimeZone());
  }
  // The n-th entry, n seconds after noon: an attempt for recipient "rN@d".
  static NewEntry Entry(int n) {
    return {
        absl::StrCat("4dXb2Q1Zz", n, ": to=<r", n, "@d>, relay=none, delay=1, status=sent (ok)"),
        Noon() + absl::Seconds(n)};
  }
  static std::vector<NewEntry> Entries(int first, int last) {
    std::vector<NewEntry> entries;
    for (int n = first; n <= last; ++n) entries.push_back(Entry(n));
    return entries;
  }
  static std::vector<int> Range(int first, int last) {
    std::vector<int> numbers;
    for (int n = first; n <= last; ++n) numbers.push_back(n);
    return numbers;
  }

  const std::string& folder() const { return folder_; }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Delete(const std::string& name = "system.journal") { std::filesystem::remove(Path(name)); }
  void Rename(const std::string& from, const std::string& to) {
    std::filesystem::rename(Path(from), Path(to));
  }

  // In the Journal Export Format.
  void Append(const std::vector<NewEntry>& entries, const std::string& name = "system.journal") {
    const std::string command =
        absl::StrCat(DEFERD_JOURNAL_REMOTE, " -o ", Path(name), " - 2>/dev/null");
    FILE* remote = popen(command.c_str(), "w");
    ASSERT_NE(remote, nullptr);
    for (const NewEntry& one : entries) {
      const int64_t micros = absl::ToUnixMicros(one.time);
      std::string text = absl::StrCat(
          "__REALTIME_TIMESTAMP=", micros, "\n__MONOTONIC_TIMESTAMP=",
          absl::ToInt64Microseconds(one.time - Noon()) +
              absl::ToInt64Microseconds(absl::Hours(1000)),
          "\n_BOOT_ID=0123456789abcdef0123456789abcdef\n_SOURCE_REALTIME_TIMESTAMP=", micros,
          "\nSYSLOG_FACILITY=", one.facility, "\nSYSLOG_IDENTIFIER=", one.identifier,
          "\n_UID=", one.uid, "\n", one.more, "MESSAGE\n");
      for (int i = 0; i < 8; ++i) text.push_back(static_cast<char>(one.message.size() >> 8 * i));
      absl::StrAppend(&text, one.message, "\n\n");
      fwrite(text.data(), 1, text.size(), remote);
    }
    ASSERT_EQ(pclose(remote), 0) << command;
  }

  // Starts where the last accepted batch ended. Of this run, `accepted` batches are accepted.
  void Start(int accepted = 1'000'000, size_t batch_events = 1000) {
    {
      MutexLock lock(&mutex_);
      accept_ = accepted;
      refused_ = false;
    }
    follower_ =
        StartJournalFollower({.mta = "postfix",
                              .source = "journal:postfix",
                              .directory = folder_,
                              .writers = {0, 101},
                              .batch_events = batch_events,
                              .resume = position_},
                             NewPostfixReader({.zone = absl::UTCTimeZone()}), &clock_,
                             [this](std::unique_ptr<EventBatch> batch) { return Take(*batch); });
  }
  void Kill() { follower_.reset(); }

  bool Becomes(const std::function<bool(const FollowerStatus&)>& so) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    Mutex mutex;
    CondVar never;
    while (!so(follower_->status())) {
      if (absl::Now() > deadline) return false;
      MutexLock lock(&mutex);
      never.WaitFor(&mutex, absl::Microseconds(200));
    }
    return true;
  }
  // Whatever is there is read, or the sink has refused a batch.
  void RunToEnd(int accepted = 1'000'000, size_t batch_events = 1000) {
    Start(accepted, batch_events);
    EXPECT_TRUE(Becomes([this](const FollowerStatus& s) { return s.at_end || refused(); }));
    Kill();
  }
  bool BecomesSeen(size_t n) {
    return Becomes([this, n](const FollowerStatus&) { return seen() >= n; });
  }

  // The sink takes nothing while it is held.
  void Hold() {
    MutexLock lock(&mutex_);
    held_ = true;
  }
  void Release() {
    MutexLock lock(&mutex_);
    held_ = false;
    released_.NotifyAll();
  }
  bool BecomesHeld() {
    return Becomes([this](const FollowerStatus&) {
      MutexLock lock(&mutex_);
      return holding_;
    });
  }

  size_t seen() const {
    MutexLock lock(&mutex_);
    return numbers_.size();
  }
  bool refused() const {
    MutexLock lock(&mutex_);
    return refused_;
  }
  std::vector<int> numbers() const {
    MutexLock lock(&mutex_);
    return numbers_;
  }
  std::vector<Attempt> attempts() const {
    MutexLock lock(&mutex_);
    return attempts_;
  }
  LineCounts counts() const {
    MutexLock lock(&mutex_);
    return counts_;
  }
  void SetPosition(const LogPosition& position) { position_ = position; }
  std::optional<LogPosition> position() const { return position_; }
  int64_t gaps() const { return position_ ? position_->gaps : 0; }
  ManualClock& clock() { return clock_; }
  Follower& follower() { return *follower_; }

 private:
  bool Take(const EventBatch& batch) {
    MutexLock lock(&mutex_);
    refused_ = accept_-- <= 0;
    if (refused_) return false;
    for (size_t i = 0; i < batch.size(); ++i) {
      int number = -1;
      std::sscanf(batch[i].attempt.recipient.c_str(), "r%d@d", &number);
      numbers_.push_back(number);
      attempts_.push_back(batch[i].attempt);
    }
    counts_ += batch.counts;
    EXPECT_TRUE(batch.position);
    EXPECT_EQ(batch.position->source, "journal:postfix");
    position_ = batch.position->position;
    holding_ = held_;
    while (held_) released_.WaitFor(&mutex_, absl::Seconds(30));
    holding_ = false;
    return true;
  }

  std::string folder_;
  ManualClock clock_{Noon() + absl::Minutes(50)};
  std::optional<LogPosition> position_;  // the follower's thread's while there is one
  mutable Mutex mutex_;
  CondVar released_;
  std::vector<int> numbers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
  LineCounts counts_ ABSL_GUARDED_BY(mutex_);
  int accept_ ABSL_GUARDED_BY(mutex_) = 0;
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Follower> follower_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_INTAKE_JOURNAL_STATION_H_
