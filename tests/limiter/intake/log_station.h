// A log in a folder of its own and a follower that is started and killed, for tests of what comes
// out of restarts: every line once, or a gap. Nothing sleeps: it waits for a status, with a bound.

#ifndef DEFERD_TESTS_LIMITER_INTAKE_LOG_STATION_H_
#define DEFERD_TESTS_LIMITER_INTAKE_LOG_STATION_H_

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/follower.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"

namespace deferd {

class LogStation {
 public:
  LogStation() {
    folder_ = testing::TempDir() + "/station_XXXXXX";
    if (mkdtemp(folder_.data()) == nullptr) abort();
  }
  ~LogStation() {
    Kill();
    std::filesystem::remove_all(folder_);
  }

  // The n-th line: an attempt for recipient "rN@d".
  static std::string Line(int n) {
    return absl::StrCat("2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r", n, "@d R=r\n");
  }
  static std::string Lines(int first, int last) {
    std::string text;
    for (int n = first; n <= last; ++n) text += Line(n);
    return text;
  }
  static std::vector<int> Range(int first, int last) {
    std::vector<int> numbers;
    for (int n = first; n <= last; ++n) numbers.push_back(n);
    return numbers;
  }

  const std::string& folder() const { return folder_; }
  std::string Path(const std::string& name = "mainlog") const { return folder_ + "/" + name; }
  bool Exists(const std::string& name = "mainlog") const {
    return std::filesystem::exists(Path(name));
  }
  void Append(const std::string& text, const std::string& name = "mainlog") {
    std::ofstream(Path(name), std::ios::binary | std::ios::app) << text;
  }
  void Rename(const std::string& from, const std::string& to) {
    std::filesystem::rename(Path(from), Path(to));
  }
  void Delete(const std::string& name = "mainlog") { std::filesystem::remove(Path(name)); }
  // mainlog.1 -> mainlog.2 and so on, .gz as well.
  void Shift() {
    for (int n = 99; n >= 1; --n) {
      for (const char* end : {"", ".gz"}) {
        const std::string from = absl::StrCat("mainlog.", n, end);
        if (Exists(from)) Rename(from, absl::StrCat("mainlog.", n + 1, end));
      }
    }
  }
  void Rotate() {
    Shift();
    if (Exists()) Rename("mainlog", "mainlog.1");
  }
  void CopyTruncate() {
    Shift();
    if (!Exists()) return;
    std::filesystem::copy_file(Path(), Path("mainlog.1"));
    Cut();
  }
  void Cut() { EXPECT_EQ(truncate(Path().c_str(), 0), 0); }
  // As gzip does: the modification time is kept, its fraction too.
  void Compress(const std::string& name) {
    std::ifstream in(Path(name), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const gzFile out = gzopen(Path(name + ".gz").c_str(), "wb");
    gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
    gzclose(out);
    std::filesystem::last_write_time(Path(name + ".gz"),
                                     std::filesystem::last_write_time(Path(name)));
    Delete(name);
  }

  // Starts where the last accepted batch ended. Of this run, `accepted` batches are accepted.
  void Start(int accepted = 1'000'000, size_t batch_events = 1000) {
    {
      MutexLock lock(&mutex_);
      accept_ = accepted;
      refused_ = false;
    }
    follower_ = Follower::Start({.path = Path(),
                                 .batch_events = batch_events,
                                 .resume = position_,
                                 .read_rotated_first = true},
                                NewEximReader({.zone = absl::UTCTimeZone()}), &clock_,
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
  std::vector<int> SortedNumbers() const {
    std::vector<int> sorted = numbers();
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
  LineCounts counts() const {
    MutexLock lock(&mutex_);
    return counts_;
  }
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
    }
    counts_ += batch.counts;
    EXPECT_TRUE(batch.position);
    EXPECT_EQ(batch.position->source, Path());
    position_ = batch.position->position;
    return true;
  }

  std::string folder_;
  ManualClock clock_{absl::FromCivil(absl::CivilDay(2026, 11, 23), absl::UTCTimeZone())};
  std::optional<LogPosition> position_;  // the follower's thread's while there is one
  mutable Mutex mutex_;
  std::vector<int> numbers_ ABSL_GUARDED_BY(mutex_);
  LineCounts counts_ ABSL_GUARDED_BY(mutex_);
  int accept_ ABSL_GUARDED_BY(mutex_) = 0;
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Follower> follower_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_INTAKE_LOG_STATION_H_
