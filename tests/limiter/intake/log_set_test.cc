#include "limiter/intake/log_set.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/intake/rotated_name.h"
#include "tests/limiter/intake/log_station.h"

namespace deferd {
namespace {

using testing::ElementsAre;

TEST(RotatedName, WhatRotationWrites) {
  for (const char* name : {"mainlog.1", "mainlog.12.gz", "mainlog.01", "mainlog-20261123",
                           "mainlog-20261123.gz", "mainlog-2026-11-23_0415", "mainlog.20261123",
                           "mainlog-20261123-1763856000", "mainlog-1"}) {
    EXPECT_TRUE(ParseRotatedName("mainlog", name)) << name;
    EXPECT_EQ(RotatedBase(name), "mainlog") << name;
  }
  for (const char* name :
       {"mainlog", "mainlog.gz", "mainlog.", "mainlog.1.bak", "mainlog.x", "mainlog-", "mainlog.1.",
        "mainlog.12345.6", "mainlogs.1", "mainlog1", "mainlog.--1", "rejectlog.1"}) {
    EXPECT_FALSE(ParseRotatedName("mainlog", name)) << name;
  }
}

TEST(RotatedName, Order) {
  const auto rotated = [](absl::string_view name) { return *ParseRotatedName("m", name); };
  EXPECT_LT(rotated("m.2"), rotated("m.1"));
  EXPECT_LT(rotated("m.10.gz"), rotated("m.9.gz"));
  EXPECT_LT(rotated("m-20261122"), rotated("m-20261123.gz"));
  EXPECT_EQ(rotated("m.1"), rotated("m.1.gz"));
}

class LogSetTest : public testing::Test {
 protected:
  ~LogSetTest() override { set_.reset(); }

  void Start(std::vector<std::string> patterns, std::map<std::string, SourceState> known = {}) {
    for (std::string& pattern : patterns) pattern = log_.Path(pattern);
    set_ = LogSet::Start(
        {.patterns = std::move(patterns), .look_every = absl::InfiniteDuration()}, std::move(known),
        [] { return NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true}); }, &clock_,
        [this](std::unique_ptr<EventBatch> batch) { return Take(*batch); });
  }

  bool Take(const EventBatch& batch) {
    MutexLock lock(&mutex_);
    for (size_t i = 0; i < batch.size(); ++i) attempts_.push_back(batch[i].attempt);
    known_[batch.position->source].position = batch.position->position;
    changed_.NotifyAll();
    return true;
  }
  std::vector<std::string> Recipients(size_t n) {
    MutexLock lock(&mutex_);
    while (attempts_.size() < n && changed_.WaitFor(&mutex_, absl::Seconds(30))) {
    }
    std::vector<std::string> recipients;
    for (const Attempt& attempt : attempts_) recipients.push_back(attempt.recipient);
    std::sort(recipients.begin(), recipients.end());
    return recipients;
  }
  std::vector<std::string> Sources() const {
    std::vector<std::string> names;
    for (const FollowerStatus& status : set_->status()) {
      names.push_back(status.path.substr(log_.Path("").size()));
    }
    return names;
  }

  LogStation log_;  // for its folder
  ManualClock clock_{absl::FromCivil(absl::CivilDay(2026, 11, 23), absl::UTCTimeZone())};
  Mutex mutex_;
  CondVar changed_;
  std::vector<Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, SourceState> known_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<LogSet> set_;
};

TEST_F(LogSetTest, FollowsWhatThePatternsNameAndWhatAppears) {
  std::filesystem::create_directories(log_.Path("a"));
  std::filesystem::create_directories(log_.Path("b"));
  log_.Append(LogStation::Line(1), "b/exim.log");
  Start({"*/exim.log", "plain"});
  EXPECT_THAT(Sources(), ElementsAre("b/exim.log", "plain"));  // also while it is missing
  log_.Append(LogStation::Line(2), "a/exim.log");
  EXPECT_EQ(set_->Look(), 1);
  EXPECT_EQ(set_->Look(), 0);
  EXPECT_THAT(Sources(), ElementsAre("a/exim.log", "b/exim.log", "plain"));
  log_.Append(LogStation::Line(3), "plain");
  EXPECT_THAT(Recipients(3), ElementsAre("r1@d", "r2@d", "r3@d"));
}

TEST_F(LogSetTest, RotatedFilesAreNoSources) {
  log_.Append(LogStation::Line(1), "mainlog");
  log_.Append(LogStation::Line(2), "mainlog.1");
  log_.Append(LogStation::Line(3), "mainlog-20261122");
  log_.Append(LogStation::Line(4), "other.1");  // its log may come back
  Start({"*"});
  EXPECT_THAT(Sources(), ElementsAre("mainlog"));
  EXPECT_THAT(Recipients(1), ElementsAre("r1@d"));
}

TEST_F(LogSetTest, RotationWhileFollowingMakesNoSource) {
  log_.Append(LogStation::Line(1), "mainlog");
  Start({"main*"});
  EXPECT_THAT(Recipients(1), ElementsAre("r1@d"));
  log_.Rename("mainlog", "mainlog.1");
  EXPECT_EQ(set_->Look(), 0);
  log_.Append(LogStation::Line(2), "mainlog");
  EXPECT_EQ(set_->Look(), 0);
  EXPECT_THAT(Recipients(2), ElementsAre("r1@d", "r2@d"));
}

TEST_F(LogSetTest, PatternsThatMeetFollowAFileOnce) {
  log_.Append(LogStation::Line(1), "mainlog");
  Start({"mainlog", "main*", "*log", "mainlog"});
  EXPECT_THAT(Sources(), ElementsAre("mainlog"));
}

TEST_F(LogSetTest, EachSourceGoesOnWhereItWas) {
  log_.Append(LogStation::Line(1), "a.log");
  log_.Append(LogStation::Line(2), "b.log");
  Start({"*.log"});
  EXPECT_THAT(Recipients(2), ElementsAre("r1@d", "r2@d"));
  set_.reset();
  std::map<std::string, SourceState> known;
  {
    MutexLock lock(&mutex_);
    known = known_;
  }
  const MessageKey key = {"1hIAif-00H7J4-Lb", clock_.Now() - absl::Hours(30)};
  known[log_.Path("a.log")].open = {{key, {.sender = "s@s.example"}}};
  known[log_.Path("b.log")].position.reader = "unreadable";
  log_.Append(LogStation::Line(3), "a.log");
  log_.Append(LogStation::Line(4), "b.log");
  Start({"*.log"}, known);
  EXPECT_THAT(Recipients(4), ElementsAre("r1@d", "r2@d", "r3@d", "r4@d"));
  MutexLock lock(&mutex_);
  for (const Attempt& attempt : attempts_) {
    EXPECT_EQ(attempt.identity.sender, attempt.recipient == "r3@d" ? "s@s.example" : "");
  }
}

}  // namespace
}  // namespace deferd
