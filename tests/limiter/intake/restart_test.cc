// A follower that is killed and goes on at the last position that its sink accepted.

#include <chrono>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/limiter/intake/log_station.h"

namespace deferd {
namespace {

using testing::ElementsAre;

constexpr int kLines = 4;

struct Trouble {
  const char* name;
  // What happens to the log while nobody looks. The rest of line 4 is in the log by then.
  void (*happen)(LogStation* log);
  int last;       // the last line that is then in the files
  bool may_lose;  // then a gap must be said
};

void PrintTo(const Trouble& trouble, std::ostream* out) { *out << trouble.name; }

const Trouble kTroubles[] = {
    {"Nothing", [](LogStation*) {}, kLines, false},
    {"Grown", [](LogStation* log) { log->Append(LogStation::Lines(5, 6)); }, 6, false},
    {"Renamed",
     [](LogStation* log) {
       log->Rotate();
       log->Append(LogStation::Lines(5, 6));
     },
     6, false},
    {"RenamedAndNothingNew", [](LogStation* log) { log->Rotate(); }, kLines, false},
    {"RenamedTwice",
     [](LogStation* log) {
       log->Rotate();
       log->Append(LogStation::Line(5));
       log->Rotate();
       log->Append(LogStation::Line(6));
     },
     6, false},
    {"Copied",
     [](LogStation* log) {
       log->CopyTruncate();
       log->Append(LogStation::Lines(5, 6));
     },
     6, false},
    {"CopiedTwice",
     [](LogStation* log) {
       log->CopyTruncate();
       log->Append(LogStation::Line(5));
       log->CopyTruncate();
       log->Append(LogStation::Line(6));
     },
     6, false},
    {"CopiedAndNothingNew", [](LogStation* log) { log->CopyTruncate(); }, kLines, false},
    {"Compressed",
     [](LogStation* log) {
       log->Rotate();
       log->Compress("mainlog.1");
       log->Append(LogStation::Lines(5, 6));
     },
     6, false},
    {"CompressedTwice",
     [](LogStation* log) {
       log->Rotate();
       log->Compress("mainlog.1");
       log->Append(LogStation::Line(5));
       log->Rotate();
       log->Compress("mainlog.1");
       log->Append(LogStation::Line(6));
     },
     6, false},
    {"CopiedAndCompressed",
     [](LogStation* log) {
       log->CopyTruncate();
       log->Compress("mainlog.1");
       log->Append(LogStation::Lines(5, 6));
     },
     6, false},
    {"Dated",
     [](LogStation* log) {
       log->Rename("mainlog", "mainlog-20261122");
       log->Append(LogStation::Line(5));
       log->Rename("mainlog", "mainlog-20261123");
       log->Compress("mainlog-20261122");
       log->Append(LogStation::Line(6));
     },
     6, false},
    {"DeletedAndMadeAgain",
     [](LogStation* log) {
       log->Delete();  // most file systems give the next file the same inode
       log->Append(LogStation::Lines(5, 9));
     },
     9, true},
    {"CutWithoutACopy",
     [](LogStation* log) {
       log->Cut();
       log->Append(LogStation::Lines(5, 9));
     },
     9, true},
};

class RestartAfter : public testing::TestWithParam<Trouble> {};

TEST_P(RestartAfter, AtEveryByteOfTheLog) {
  const std::string text = LogStation::Lines(1, kLines);
  for (size_t killed_at = 0; killed_at <= text.size(); ++killed_at) {
    SCOPED_TRACE(absl::StrCat("killed at byte ", killed_at));
    LogStation log;
    log.Append(text.substr(0, killed_at));
    log.RunToEnd();
    const std::vector<int> before = log.numbers();
    log.Append(text.substr(killed_at));
    GetParam().happen(&log);
    log.RunToEnd();
    if (!GetParam().may_lose) {
      ASSERT_EQ(log.numbers(), LogStation::Range(1, GetParam().last));
      ASSERT_EQ(log.gaps(), 0);
    } else {
      std::vector<int> want = before;
      for (int n = kLines + 1; n <= GetParam().last; ++n) want.push_back(n);
      ASSERT_EQ(log.numbers(), want);
      // Nothing tells a log of which no line was read from one that was emptied.
      if (!before.empty()) {
        ASSERT_EQ(log.gaps(), 1);
        ASSERT_EQ(log.position()->last_gap, log.clock().Now());
      }
    }
    ASSERT_EQ(log.counts().malformed, 0);
    const std::vector<int> all = log.numbers();
    log.RunToEnd();
    ASSERT_EQ(log.numbers(), all);
  }
}

INSTANTIATE_TEST_SUITE_P(Troubles, RestartAfter, testing::ValuesIn(kTroubles),
                         [](const auto& trouble) { return std::string(trouble.param.name); });

TEST(Restart, AfterEveryBatch) {
  for (size_t batch_events : {1, 2, 7}) {
    LogStation log;
    log.Append(LogStation::Lines(1, 10));
    log.Rotate();
    log.Append(LogStation::Lines(11, 20));
    for (int i = 0; i < 40; ++i) log.RunToEnd(/*accepted=*/1, batch_events);
    EXPECT_EQ(log.numbers(), LogStation::Range(1, 20));
    EXPECT_EQ(log.gaps(), 0);
  }
}

TEST(Restart, LateLinesOfARotatedFile) {
  LogStation log;
  log.Append(LogStation::Line(1));
  log.Start();
  ASSERT_TRUE(log.BecomesSeen(1));
  log.Rotate();
  log.Append(LogStation::Line(2));
  ASSERT_TRUE(log.BecomesSeen(2));
  log.Append(LogStation::Line(3), "mainlog.1");
  ASSERT_TRUE(log.BecomesSeen(3));
  log.Kill();
  EXPECT_EQ(log.position()->files.size(), 2u);
  EXPECT_TRUE(log.position()->files[0].rotated);
  EXPECT_FALSE(log.position()->files[1].rotated);
  log.Append(LogStation::Line(4), "mainlog.1");
  log.Append(LogStation::Line(5));
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 5));
  EXPECT_EQ(log.gaps(), 0);
}

TEST(Restart, UnfinishedLastLineOfACompressedFileIsALine) {
  LogStation log;
  const std::string line = LogStation::Line(2);
  log.Append(LogStation::Line(1) + line.substr(0, 20));
  log.RunToEnd();
  log.Append(line.substr(20, line.size() - 21));  // but for its LF
  log.Rotate();
  log.Compress("mainlog.1");
  log.Append(LogStation::Line(3));
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 3));
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 3));
}

TEST(Restart, CopyBesideTheLogIsNotReadTwice) {
  LogStation log;
  log.Append(LogStation::Lines(1, 3));
  log.RunToEnd();
  std::filesystem::copy_file(log.Path(), log.Path("mainlog.1"));  // logrotate's `copy`
  log.Append(LogStation::Line(4));
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 4));
}

TEST(Restart, LinesWithoutEventsMoveThePosition) {
  LogStation log;
  log.Append(LogStation::Line(1));
  log.Start();
  ASSERT_TRUE(log.BecomesSeen(1));
  const std::string text = "2026-11-22 00:00:00 Start queue run: pid=1\n";
  log.Append(text);
  ASSERT_TRUE(log.Becomes([&](const FollowerStatus&) { return log.counts().lines == 2; }));
  log.Kill();
  EXPECT_EQ(log.position()->files[0].offset,
            static_cast<int64_t>(LogStation::Line(1).size() + text.size()));
}

TEST(Restart, WithoutAPositionTheYoungestRotatedFileIsReadFirst) {
  LogStation log;
  log.Append(LogStation::Line(1), "mainlog.2");
  log.Append(LogStation::Line(2), "mainlog.1");
  log.Append(LogStation::Line(3));
  log.Compress("mainlog.1");
  log.RunToEnd();
  EXPECT_THAT(log.numbers(), ElementsAre(2, 3));
}

// The mail server was not told of the rotation yet and writes where it did, into a file that no
// position knows.
TEST(Restart, AFileRotatedWhileEmptyIsReadAsLongAsNothingIsAtThePath) {
  LogStation log;
  log.Append("");
  log.RunToEnd();
  log.Rotate();
  log.Append("");
  log.Rotate();
  log.Start();
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return s.at_end; }));
  log.Append(LogStation::Line(1), "mainlog.1");
  log.Rotate();
  log.Append(LogStation::Line(2));
  ASSERT_TRUE(log.BecomesSeen(2));
  EXPECT_THAT(log.numbers(), ElementsAre(1, 2));
}

// Compressing is under way, and no file is at the path: what is there of the compressed file is not
// another log.
TEST(Restart, AFileThatIsBeingCompressedIsNotAFileOfItsOwn) {
  std::string whole;
  for (size_t written = 0; written == 0 || written <= whole.size(); ++written) {
    SCOPED_TRACE(absl::StrCat(written, " bytes are written"));
    LogStation log;
    log.Append(LogStation::Line(1));
    log.RunToEnd();
    log.Append(LogStation::Line(2));
    log.Rotate();
    if (whole.empty()) {
      std::filesystem::copy_file(log.Path("mainlog.1"), log.Path("copy"));
      log.Compress("copy");
      std::ifstream in(log.Path("copy.gz"), std::ios::binary);
      whole.assign(std::istreambuf_iterator<char>(in), {});
      ASSERT_GT(whole.size(), 40u);
    }
    log.Append(whole.substr(0, written), "mainlog.1.gz");
    log.RunToEnd();
    log.Compress("mainlog.1");
    log.Append(LogStation::Line(3));
    log.RunToEnd();
    EXPECT_EQ(log.numbers(), LogStation::Range(1, 3));
    EXPECT_EQ(log.gaps(), 0);
  }
}

TEST(Restart, GapsAreCarriedOn) {
  LogStation log;
  log.Append(LogStation::Lines(1, 3));
  log.RunToEnd();
  for (int gaps = 1; gaps <= 3; ++gaps) {
    log.clock().Advance(absl::Hours(1));
    log.Cut();
    log.Append(LogStation::Lines(10 * gaps, 10 * gaps + gaps));
    log.RunToEnd();
    EXPECT_EQ(log.gaps(), gaps);
    EXPECT_EQ(log.position()->last_gap, log.clock().Now());
  }
  const absl::Time last = log.clock().Now();
  log.clock().Advance(absl::Hours(1));
  log.Start();
  EXPECT_EQ(log.follower().status().gaps, 3);
  EXPECT_EQ(log.follower().status().last_gap, last);
}

// What keeps a log from being seen at a start, without any line of it being lost. root may read
// everything, so permissions are not among them.
struct Hidden {
  const char* name;
  void (*hide)(LogStation* log);
  void (*show)(LogStation* log);
};

void PrintTo(const Hidden& hidden, std::ostream* out) { *out << hidden.name; }

const Hidden kHidden[] = {
    {"Absent", [](LogStation* log) { log->Rename("mainlog", "elsewhere"); },
     [](LogStation* log) { log->Rename("elsewhere", "mainlog"); }},
    {"NotAFile",
     [](LogStation* log) {
       log->Rename("mainlog", "elsewhere");
       std::filesystem::create_directory(log->Path());
     },
     [](LogStation* log) {
       std::filesystem::remove(log->Path());
       log->Rename("elsewhere", "mainlog");
     }},
    {"CannotBeOpened",
     [](LogStation* log) {
       log->Rename("mainlog", "elsewhere");
       std::filesystem::create_symlink("mainlog", log->Path());  // ELOOP
     },
     [](LogStation* log) {
       std::filesystem::remove(log->Path());
       log->Rename("elsewhere", "mainlog");
     }},
    {"FolderNotMounted",
     [](LogStation* log) { std::filesystem::rename(log->folder(), log->folder() + ".away"); },
     [](LogStation* log) { std::filesystem::rename(log->folder() + ".away", log->folder()); }},
};

class HiddenAtStart : public testing::TestWithParam<Hidden> {};

TEST_P(HiddenAtStart, ReadingGoesOnWhereItEnded) {
  LogStation log;
  log.Append(LogStation::Lines(1, 3));
  log.RunToEnd();
  log.Append(LogStation::Line(4));
  GetParam().hide(&log);
  // Several starts in vain, of which each says what is wrong and none forgets the position.
  for (int start = 0; start < 3; ++start) {
    log.Start();
    ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return !s.problem.empty(); }));
    EXPECT_FALSE(log.follower().status().readable);
    EXPECT_FALSE(log.follower().status().at_end);
    log.Kill();
  }
  EXPECT_EQ(log.gaps(), 0);
  log.Start();
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return !s.problem.empty(); }));
  GetParam().show(&log);
  ASSERT_TRUE(log.BecomesSeen(4));
  log.Append(LogStation::Line(5));
  ASSERT_TRUE(log.BecomesSeen(5));
  EXPECT_EQ(log.follower().status().problem, "");
  log.Kill();
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 5));
  EXPECT_EQ(log.gaps(), 0);
}

TEST_P(HiddenAtStart, AndIsRotatedBeforeItIsSeen) {
  LogStation log;
  log.Append(LogStation::Lines(1, 3));
  log.RunToEnd();
  log.Append(LogStation::Line(4));
  GetParam().hide(&log);
  log.Start();
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return !s.problem.empty(); }));
  log.Kill();
  GetParam().show(&log);
  log.Rotate();
  log.Append(LogStation::Line(5));
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 5));
  EXPECT_EQ(log.gaps(), 0);
}

TEST_P(HiddenAtStart, AndIsAnotherLogThen) {
  LogStation log;
  log.Append(LogStation::Lines(1, 3));
  log.RunToEnd();
  GetParam().hide(&log);
  log.Start();
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return !s.problem.empty(); }));
  log.Kill();
  GetParam().show(&log);
  log.Delete();
  log.Append(LogStation::Lines(10, 12));
  log.RunToEnd();
  EXPECT_THAT(log.numbers(), ElementsAre(1, 2, 3, 10, 11, 12));
  EXPECT_EQ(log.gaps(), 1);
}

INSTANTIATE_TEST_SUITE_P(Ways, HiddenAtStart, testing::ValuesIn(kHidden),
                         [](const auto& hidden) { return std::string(hidden.param.name); });

TEST(Restart, ARotatedFileThatCannotBeOpenedIsReadLater) {
  LogStation log;
  log.Append(LogStation::Lines(1, 3));
  log.RunToEnd();
  log.Append(LogStation::Line(4));
  log.Rename("mainlog", "kept");
  std::filesystem::create_symlink("mainlog.1", log.Path("mainlog.1"));  // ELOOP
  log.Append(LogStation::Line(5));
  log.Start();
  ASSERT_TRUE(log.BecomesSeen(4));  // 1, 2, 3 and 5: the new file is read meanwhile
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return !s.problem.empty(); }));
  EXPECT_TRUE(log.follower().status().readable);
  log.Kill();
  log.Start();
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return !s.problem.empty(); }));
  log.Delete("mainlog.1");
  log.Rename("kept", "mainlog.1");
  log.clock().Advance(absl::Minutes(1));
  ASSERT_TRUE(log.BecomesSeen(5));
  ASSERT_TRUE(log.Becomes([](const FollowerStatus& s) { return s.problem.empty(); }));
  log.Kill();
  EXPECT_EQ(log.SortedNumbers(), LogStation::Range(1, 5));
  EXPECT_EQ(log.gaps(), 0);
}

// How rotation calls what it puts aside, while nobody looks: the files' own times within a second.
struct Scheme {
  const char* name;
  std::string (*name_of)(int nth, int last);  // of the nth file put aside, when there are `last`
};

void PrintTo(const Scheme& scheme, std::ostream* out) { *out << scheme.name; }

const Scheme kSchemes[] = {
    {"NumbersShrink", [](int n, int last) { return absl::StrCat("mainlog.", last - n + 1); }},
    {"NumbersGrow", [](int n, int) { return absl::StrCat("mainlog.", n); }},
    {"NumbersGrowFromFar", [](int n, int) { return absl::StrCat("mainlog.", 97 + n); }},
    {"Dates", [](int n, int) { return absl::StrCat("mainlog-2026112", n); }},
    {"DatesWithTimes", [](int n, int) { return absl::StrCat("mainlog-2026-11-22_0", n, "15"); }},
    {"DottedDates", [](int n, int) { return absl::StrCat("mainlog.2026-11-2", n); }},
};

// Line n at n minutes past midnight.
std::string LineAtMinute(int n) {
  std::string line = LogStation::Line(n);
  line.replace(14, 2, absl::StrCat(n / 10, n % 10));
  return line;
}

class RotationScheme : public testing::TestWithParam<std::tuple<Scheme, bool, bool>> {};

TEST_P(RotationScheme, FilesThatCameWhileNobodyLookedAreReadInTheirOrder) {
  const auto& [scheme, compressed, same_second] = GetParam();
  constexpr int kFiles = 5;
  LogStation log;
  log.Append(LineAtMinute(1));
  log.RunToEnd();
  const auto now = std::filesystem::file_time_type::clock::now();
  for (int n = 1; n <= kFiles; ++n) {
    if (n > 1) log.Append(LineAtMinute(2 * n - 1));
    log.Append(LineAtMinute(2 * n));
    const std::string aside = absl::StrCat("aside", n);
    log.Rename("mainlog", aside);
    const auto when =
        std::chrono::floor<std::chrono::seconds>(now) - std::chrono::hours(same_second ? 0 : 9 - n);
    std::filesystem::last_write_time(log.Path(aside), when);
  }
  for (int n = 1; n <= kFiles; ++n) {
    const std::string name = scheme.name_of(n, kFiles);
    log.Rename(absl::StrCat("aside", n), name);
    if (compressed) log.Compress(name);
  }
  log.Append(LineAtMinute(2 * kFiles + 1));
  log.RunToEnd();
  EXPECT_EQ(log.numbers(), LogStation::Range(1, 2 * kFiles + 1));
  EXPECT_EQ(log.gaps(), 0);
}

INSTANTIATE_TEST_SUITE_P(Schemes, RotationScheme,
                         testing::Combine(testing::ValuesIn(kSchemes), testing::Bool(),
                                          testing::Bool()),
                         [](const auto& given) {
                           return absl::StrCat(std::get<0>(given.param).name,
                                               std::get<1>(given.param) ? "Compressed" : "",
                                               std::get<2>(given.param) ? "SameSecond" : "");
                         });

TEST(Restart, RotationIntoAnotherFolderOrAnUnreadableFormIsAGap) {
  for (const char* aside : {"old/mainlog.1", "mainlog.1.xz"}) {
    SCOPED_TRACE(aside);
    LogStation log;
    log.Append(LogStation::Lines(1, 3));
    log.RunToEnd();
    std::filesystem::create_directory(log.Path("old"));
    log.Append(LogStation::Line(4));
    log.Rename("mainlog", aside);
    std::filesystem::resize_file(log.Path(aside), 7);  // as bytes that nobody here can read
    log.Append(LogStation::Line(5));
    log.RunToEnd();
    EXPECT_THAT(log.numbers(), ElementsAre(1, 2, 3, 5));
    EXPECT_EQ(log.gaps(), 1);
  }
}

}  // namespace
}  // namespace deferd
