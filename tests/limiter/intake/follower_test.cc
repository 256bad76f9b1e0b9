// One test a trouble. Nothing sleeps: a test waits for lines or for a status, with a bound.

#include "limiter/intake/follower.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/port/bounded_queue.h"
#include "limiter/port/clock.h"

namespace deferd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const absl::Duration kBound = absl::Seconds(30);

// The n-th line: an attempt for recipient "rN@d".
std::string Line(int n) {
  return absl::StrCat("2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r", n, "@d R=r\n");
}

std::string Lines(int first, int last) {
  std::string text;
  for (int n = first; n <= last; ++n) text += Line(n);
  return text;
}

class FollowerTest : public testing::Test {
 protected:
  FollowerTest() : batches_(1000) {
    folder_ = testing::TempDir() + "/follower_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/mainlog";
  }
  ~FollowerTest() override { Stop(); }

  void Start(size_t batch_events = 1000) {
    follower_ = Follower::Start(
        {.path = path_, .batch_events = batch_events, .keep_rotated = keep_rotated_},
        NewEximReader({.zone = zone_}), &clock_,
        [this](std::unique_ptr<EventBatch> batch) { return batches_.Push(std::move(batch)); });
  }
  void Stop() {
    batches_.Close();
    follower_.reset();
  }

  void Append(const std::string& text) { AppendTo(path_, text); }
  static void AppendTo(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::app) << text;
  }
  void Rename(const std::string& from, const std::string& to) {
    ASSERT_EQ(rename((folder_ + "/" + from).c_str(), (folder_ + "/" + to).c_str()), 0);
  }
  void Copy(const std::string& from, const std::string& to) {
    std::ifstream in(folder_ + "/" + from, std::ios::binary);
    std::ofstream(folder_ + "/" + to, std::ios::binary) << in.rdbuf();
  }
  void Cut() { ASSERT_EQ(truncate(path_.c_str(), 0), 0); }

  // The recipients' numbers of the next `n` attempts.
  std::vector<int> Take(size_t n) {
    std::vector<int> numbers;
    while (numbers.size() < n) {
      const auto batch = batches_.Pop(kBound);
      if (!batch) break;
      counts_ += (*batch)->counts;
      for (size_t i = 0; i < (*batch)->size(); ++i) {
        int number = -1;
        std::sscanf((**batch)[i].attempt.recipient.c_str(), "r%d@d", &number);
        numbers.push_back(number);
      }
    }
    return numbers;
  }
  static std::vector<int> Range(int first, int last) {
    std::vector<int> numbers;
    for (int n = first; n <= last; ++n) numbers.push_back(n);
    return numbers;
  }

  // Whether the status becomes so in time.
  bool Becomes(const std::function<bool(const FollowerStatus&)>& so) {
    const absl::Time deadline = absl::Now() + kBound;
    Mutex mutex;
    CondVar never;
    while (!so(follower_->status())) {
      if (absl::Now() > deadline) return false;
      MutexLock lock(&mutex);
      never.WaitFor(&mutex, absl::Milliseconds(1));
    }
    return true;
  }
  bool BecomesAtEnd() {
    return Becomes([](const FollowerStatus& s) { return s.at_end; });
  }
  bool BecomesGaps(int64_t gaps) {
    return Becomes([gaps](const FollowerStatus& s) { return s.gaps == gaps; });
  }
  bool BecomesUnreadable() {
    return Becomes([](const FollowerStatus& s) { return !s.readable && !s.problem.empty(); });
  }

  std::string folder_;
  std::string path_;
  absl::TimeZone zone_ = absl::UTCTimeZone();
  absl::Duration keep_rotated_ = absl::Minutes(10);
  ManualClock clock_{absl::FromCivil(absl::CivilDay(2026, 11, 23), absl::UTCTimeZone())};
  BoundedQueue<std::unique_ptr<EventBatch>> batches_;
  LineCounts counts_;
  std::unique_ptr<Follower> follower_;
};

// From 01:50 on the log was silent, until 02:30 came for the second time.
TEST_F(FollowerTest, ALiveLineInARepeatedHourIsReadByWhenItWasWritten) {
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &zone_));
  const auto time = [](const char* utc) {
    absl::Time parsed;
    EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, utc, &parsed, nullptr));
    return parsed;
  };
  const auto append = [this](const char* minute) {
    Append(absl::StrCat("2026-10-25 ", minute, ":00 1hIAif-00H7J4-Lb => r1@d R=r\n"));
    // A batch without events says that the file is there: it may be seen before its first line.
    auto batch = batches_.Pop(kBound);
    while (batch && (*batch)->size() == 0) batch = batches_.Pop(kBound);
    return batch && (*batch)->size() == 1 ? (**batch)[0].attempt.time : absl::InfinitePast();
  };
  clock_.Set(time("2026-10-24T23:50:01Z"));
  Start();
  EXPECT_EQ(append("01:50"), time("2026-10-24T23:50:00Z"));
  clock_.Set(time("2026-10-25T01:30:01Z"));
  // Lines without a time: once the second is read, the follower has been at the end by this clock.
  for (int i = 0; i < 2; ++i) {
    Append("no line of Exim\n");
    ASSERT_TRUE(batches_.Pop(kBound));
  }
  EXPECT_EQ(append("02:30"), time("2026-10-25T01:30:00Z"));
}

TEST_F(FollowerTest, ReadsWhatIsThereAndWhatComes) {
  Append(Lines(1, 3));
  Start();
  EXPECT_EQ(Take(3), Range(1, 3));
  Append(Lines(4, 5));
  EXPECT_EQ(Take(2), Range(4, 5));
  EXPECT_TRUE(BecomesAtEnd());
  const FollowerStatus status = follower_->status();
  EXPECT_EQ(status.path, path_);
  EXPECT_TRUE(status.readable);
  EXPECT_EQ(status.problem, "");
  EXPECT_EQ(status.gaps, 0);
  EXPECT_EQ(status.bytes, static_cast<int64_t>(Lines(1, 5).size()));
}

TEST_F(FollowerTest, BatchesHaveTheConfiguredSize) {
  Append(Lines(1, 10));
  Start(4);
  EXPECT_EQ((*batches_.Pop(kBound))->size(), 4u);
  EXPECT_EQ((*batches_.Pop(kBound))->size(), 4u);
  EXPECT_EQ((*batches_.Pop(kBound))->size(), 2u);
}

TEST_F(FollowerTest, PartialLineWaitsForItsEnd) {
  Append(Line(1) + "2026-11-22 00:00:00 1hIAif-00H7");
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  Append("J4-Lb => r2@d R=r");
  Append("\n" + Line(3));
  EXPECT_EQ(Take(2), Range(2, 3));
  EXPECT_EQ(counts_.malformed, 0);
}

TEST_F(FollowerTest, OverLongLineIsSkippedWhole) {
  Append(Line(1) + std::string(300 << 10, 'x'));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  Append(std::string(300 << 10, 'x') + "\n" + Line(2));
  EXPECT_EQ(Take(1), Range(2, 2));
  EXPECT_EQ(counts_.malformed, 1);
  EXPECT_EQ(counts_.lines, 3);
}

TEST_F(FollowerTest, Rename) {
  Append(Lines(1, 2));
  Start();
  EXPECT_EQ(Take(2), Range(1, 2));
  Rename("mainlog", "mainlog.1");
  Append(Lines(3, 4));
  EXPECT_EQ(Take(2), Range(3, 4));
  EXPECT_EQ(follower_->status().gaps, 0);
}

TEST_F(FollowerTest, LateLinesOfTheRenamedFile) {
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  Rename("mainlog", "mainlog.1");
  AppendTo(folder_ + "/mainlog.1", Line(2));
  EXPECT_EQ(Take(1), Range(2, 2));
  Append(Line(3));
  EXPECT_EQ(Take(1), Range(3, 3));
  AppendTo(folder_ + "/mainlog.1", Line(4));
  EXPECT_EQ(Take(1), Range(4, 4));
  Append(Line(5));
  EXPECT_EQ(Take(1), Range(5, 5));
}

TEST_F(FollowerTest, SettingTheClockDoesNotEndTheRenamedFile) {
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  Rename("mainlog", "mainlog.1");
  Append(Line(2));
  EXPECT_EQ(Take(1), Range(2, 2));
  clock_.Step(absl::Hours(1));
  for (int n = 3; n <= 5; ++n) {  // at least one look lies between
    Append(Line(n));
    EXPECT_EQ(Take(1), Range(n, n));
  }
  AppendTo(folder_ + "/mainlog.1", Line(6));
  EXPECT_EQ(Take(1), Range(6, 6));
}

TEST_F(FollowerTest, RenamedFileIsLetGoInTheEnd) {
  Append(Line(1) + "2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r2@d R=r");  // no LF
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  Rename("mainlog", "mainlog.1");
  EXPECT_TRUE(BecomesUnreadable());
  clock_.Advance(absl::Minutes(11));
  EXPECT_EQ(Take(1), Range(2, 2));  // nobody is going to end that line
  Append(Line(3));
  EXPECT_EQ(Take(1), Range(3, 3));
}

TEST_F(FollowerTest, SeveralRotationsAtOnce) {
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  // Faster than any look: the follower may see none, some or all of the steps.
  for (int n = 2; n <= 9; ++n) {
    for (int k = n - 2; k >= 1; --k) {
      Rename(absl::StrCat("mainlog.", k), absl::StrCat("mainlog.", k + 1));
    }
    Rename("mainlog", "mainlog.1");
    Append(Line(n));
  }
  EXPECT_THAT(Take(8), testing::UnorderedElementsAreArray(Range(2, 9)));
  EXPECT_EQ(follower_->status().gaps, 0);
}

// Between two looks of a follower that its sink keeps waiting.
TEST_F(FollowerTest, FileThatCameAndWentIsReadUnderItsNewName) {
  BoundedQueue<std::unique_ptr<EventBatch>> slow(1);
  Append(Lines(1, 3));
  auto follower = Follower::Start(
      {.path = path_, .batch_events = 1}, NewEximReader({}), &clock_,
      [&](std::unique_ptr<EventBatch> batch) { return slow.Push(std::move(batch)); });
  while (slow.size() == 0) ASSERT_LT(slow.size(), 2u);  // busy with the first lines from here on
  Rename("mainlog", "mainlog.1");
  Append(Line(4));
  Rename("mainlog.1", "mainlog.2");
  Rename("mainlog", "mainlog.1");
  Append(Line(5));
  std::vector<std::string> got;
  while (got.size() < 5) {
    const auto batch = slow.Pop(kBound);
    ASSERT_TRUE(batch);
    for (size_t i = 0; i < (*batch)->size(); ++i) got.push_back((**batch)[i].attempt.recipient);
  }
  EXPECT_THAT(got, ElementsAre("r1@d", "r2@d", "r3@d", "r4@d", "r5@d"));
  EXPECT_EQ(follower->status().gaps, 0);
  slow.Close();
}

TEST_F(FollowerTest, FileThatCameAndWasDeletedIsAGap) {
  BoundedQueue<std::unique_ptr<EventBatch>> slow(1);
  Append(Lines(1, 3));
  follower_ = Follower::Start(
      {.path = path_, .batch_events = 1}, NewEximReader({}), &clock_,
      [&](std::unique_ptr<EventBatch> batch) { return slow.Push(std::move(batch)); });
  while (slow.size() == 0) ASSERT_LT(slow.size(), 2u);
  Rename("mainlog", "mainlog.1");
  Append(Line(4));
  unlink(path_.c_str());
  Append(Line(5));
  std::vector<std::string> got;
  while (got.size() < 4) {
    const auto batch = slow.Pop(kBound);
    ASSERT_TRUE(batch);
    for (size_t i = 0; i < (*batch)->size(); ++i) got.push_back((**batch)[i].attempt.recipient);
  }
  EXPECT_THAT(got, ElementsAre("r1@d", "r2@d", "r3@d", "r5@d"));
  EXPECT_EQ(follower_->status().gaps, 1);
  slow.Close();
  follower_.reset();
}

TEST_F(FollowerTest, CutFileIsAGapAndReadFromItsBeginning) {
  Append(Lines(1, 3));
  Start();
  EXPECT_EQ(Take(3), Range(1, 3));
  Cut();
  EXPECT_TRUE(BecomesGaps(1));
  Append(Line(4));
  EXPECT_EQ(Take(1), Range(4, 4));
  EXPECT_EQ(follower_->status().gaps, 1);
}

TEST_F(FollowerTest, CutFileThatHasGrownPastOurPosition) {
  Append(Lines(1, 3));
  Start();
  EXPECT_EQ(Take(3), Range(1, 3));
  // In one step for whoever looks: the content is exchanged in place.
  const int fd = open(path_.c_str(), O_WRONLY);
  const std::string text = Lines(11, 40);
  ASSERT_EQ(pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  close(fd);
  EXPECT_EQ(Take(30), Range(11, 40));
  EXPECT_EQ(follower_->status().gaps, 1);
}

TEST_F(FollowerTest, CopytruncateLosesNothingThatIsInTheCopy) {
  BoundedQueue<std::unique_ptr<EventBatch>> slow(1);
  Append(Lines(1, 3));
  follower_ = Follower::Start(
      {.path = path_, .batch_events = 1}, NewEximReader({}), &clock_,
      [&](std::unique_ptr<EventBatch> batch) { return slow.Push(std::move(batch)); });
  while (slow.size() == 0) ASSERT_LT(slow.size(), 2u);
  Append(Line(4) + Line(5).substr(0, 30));
  AppendTo(folder_ + "/mainlog.2", Lines(90, 99));  // an older one
  Append(Line(5).substr(30));
  Copy("mainlog", "mainlog.1");
  Cut();
  Append(Line(6));
  std::vector<std::string> got;
  while (got.size() < 6) {
    const auto batch = slow.Pop(kBound);
    ASSERT_TRUE(batch);
    for (size_t i = 0; i < (*batch)->size(); ++i) got.push_back((**batch)[i].attempt.recipient);
  }
  EXPECT_THAT(got, ElementsAre("r1@d", "r2@d", "r3@d", "r4@d", "r5@d", "r6@d"));
  EXPECT_EQ(follower_->status().gaps, 0);
  slow.Close();
  follower_.reset();
}

TEST_F(FollowerTest, PartialLineIsGoneWithTheCut) {
  Append(Line(1) + "2026-11-22 00:00:00 1hIAif-");
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  Cut();
  EXPECT_TRUE(BecomesGaps(1));
  Append(Line(2));
  EXPECT_EQ(Take(1), Range(2, 2));
  EXPECT_EQ(counts_.malformed, 0);
}

TEST_F(FollowerTest, DeletedFileIsReadOnAndTheNewOneFollowed) {
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  const int fd = open(path_.c_str(), O_WRONLY | O_APPEND);
  unlink(path_.c_str());
  EXPECT_TRUE(BecomesUnreadable());
  const std::string text = Line(2);
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(fd);
  EXPECT_EQ(Take(1), Range(2, 2));
  Append(Line(3));
  EXPECT_EQ(Take(1), Range(3, 3));
  EXPECT_TRUE(Becomes([](const FollowerStatus& s) { return s.readable && s.problem.empty(); }));
  EXPECT_EQ(follower_->status().gaps, 0);
}

TEST_F(FollowerTest, DeletedAndMadeAgainAtOnce) {
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  for (int n = 2; n <= 20; ++n) {
    unlink(path_.c_str());
    Append(Line(n));
    EXPECT_EQ(Take(1), Range(n, n));
  }
  EXPECT_EQ(follower_->status().gaps, 0);
}

TEST_F(FollowerTest, InodeUsedAgain) {
  keep_rotated_ = absl::ZeroDuration();  // so that the inode becomes free
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  for (int n = 2; n <= 20; ++n) {
    unlink(path_.c_str());
    EXPECT_TRUE(BecomesUnreadable());
    Append(Line(n) + Line(n + 100));
    EXPECT_THAT(Take(2), ElementsAre(n, n + 100));
  }
  EXPECT_EQ(follower_->status().gaps, 0);
}

// As sed -i and the like do it.
TEST_F(FollowerTest, FileWrittenAnewWithTheSameLinesIsReadOnWhereItWas) {
  Append(Lines(1, 5));
  Start();
  EXPECT_EQ(Take(5), Range(1, 5));
  std::filesystem::copy_file(path_, path_ + ".tmp");
  std::filesystem::rename(path_ + ".tmp", path_);
  Append(Line(6));
  EXPECT_EQ(Take(1), Range(6, 6));
  Append(Line(7));
  EXPECT_EQ(Take(1), Range(7, 7));
  EXPECT_EQ(follower_->status().gaps, 0);
}

// A new log that is longer than the old one when it is first seen, and is no copy of it.
TEST_F(FollowerTest, LongerFileInThePlaceOfAShorterOneIsReadFromItsBeginning) {
  Append(Line(1));
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  std::ofstream(path_ + ".tmp") << Lines(2, 9);
  std::filesystem::rename(path_ + ".tmp", path_);
  EXPECT_EQ(Take(8), Range(2, 9));
  EXPECT_EQ(follower_->status().gaps, 0);
}

TEST_F(FollowerTest, MissingAtFirst) {
  Start();
  EXPECT_TRUE(BecomesUnreadable());
  EXPECT_THAT(follower_->status().problem, HasSubstr(path_));
  EXPECT_TRUE(BecomesAtEnd());  // there is nothing to read
  Append(Lines(1, 2));
  EXPECT_EQ(Take(2), Range(1, 2));
  EXPECT_TRUE(Becomes([](const FollowerStatus& s) { return s.readable && s.problem.empty(); }));
}

TEST_F(FollowerTest, FolderMissingAtFirst) {
  path_ = folder_ + "/later/mainlog";
  Start();
  EXPECT_TRUE(BecomesUnreadable());
  ASSERT_EQ(mkdir((folder_ + "/later").c_str(), 0700), 0);
  Append(Line(1));
  EXPECT_EQ(Take(1), Range(1, 1));
  Append(Line(2));
  EXPECT_EQ(Take(1), Range(2, 2));
}

TEST_F(FollowerTest, NotAFile) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  Start();
  EXPECT_TRUE(BecomesUnreadable());
  EXPECT_THAT(follower_->status().problem, HasSubstr("is not a file"));
  EXPECT_FALSE(follower_->status().at_end);
  ASSERT_EQ(rmdir(path_.c_str()), 0);
  Append(Line(1));
  EXPECT_EQ(Take(1), Range(1, 1));
}

TEST_F(FollowerTest, SymbolicLink) {
  AppendTo(folder_ + "/real", Line(1));
  ASSERT_EQ(symlink("real", path_.c_str()), 0);
  Start();
  EXPECT_EQ(Take(1), Range(1, 1));
  AppendTo(folder_ + "/real", Line(2));
  EXPECT_EQ(Take(1), Range(2, 2));
}

TEST_F(FollowerTest, LagIsThatOfTheLinesNotHandedOver) {
  BoundedQueue<std::unique_ptr<EventBatch>> slow(1);
  Append(Lines(1, 5));  // stamped a day before clock_
  follower_ = Follower::Start(
      {.path = path_, .batch_events = 1}, NewEximReader({.zone = absl::UTCTimeZone()}), &clock_,
      [&](std::unique_ptr<EventBatch> batch) { return slow.Push(std::move(batch)); });
  EXPECT_TRUE(Becomes([](const FollowerStatus& s) { return s.lag == absl::Hours(24); }));
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(follower_->status().lag, absl::Hours(25));
  EXPECT_FALSE(follower_->status().at_end);
  for (int n = 1; n <= 5; ++n) EXPECT_TRUE(slow.Pop(kBound));
  EXPECT_TRUE(BecomesAtEnd());
  EXPECT_EQ(follower_->status().lag, absl::ZeroDuration());
  slow.Close();
  follower_.reset();
}

TEST_F(FollowerTest, StopsWhenTheSinkWantsNoMore) {
  Append(Lines(1, 100));
  int taken = 0;
  {
    auto follower = Follower::Start({.path = path_, .batch_events = 1}, NewEximReader({}), &clock_,
                                    [&](std::unique_ptr<EventBatch>) { return ++taken < 3; });
    follower_ = std::move(follower);
    EXPECT_TRUE(Becomes([](const FollowerStatus& s) { return s.bytes > 0; }));
    follower_.reset();
  }
  EXPECT_EQ(taken, 3);
}

TEST_F(FollowerTest, EveryLineOnceOrAGapUnderRandomTrouble) {
  // Every step is one that loses nothing; the follower looks whenever it likes.
  Start(3);
  ASSERT_TRUE(BecomesUnreadable());  // it looks from here on
  int written = 0;
  int rotations = 0;
  unsigned random = 12345;
  for (int step = 0; step < 400; ++step) {
    random = random * 1103515245 + 12345;
    switch ((random >> 16) % 4) {
      case 0:
        ++written;
        Append(Line(written).substr(0, 20));
        Append(Line(written).substr(20));
        break;
      case 1:
        if (access(path_.c_str(), F_OK) == 0) {
          Rename("mainlog", absl::StrCat("mainlog-", ++rotations));
        }
        break;
      default:
        Append(Lines(written + 1, written + 3));
        written += 3;
        break;
    }
  }
  std::vector<int> got = Take(written);
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, Range(1, written));
  EXPECT_EQ(follower_->status().gaps, 0);
  EXPECT_EQ(counts_.malformed, 0);
}

}  // namespace
}  // namespace deferd
