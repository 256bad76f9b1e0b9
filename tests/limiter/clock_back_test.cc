// The clock was ahead, with the log's stamps, and is set right.

#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Hours;
using absl::Minutes;

constexpr char kPolicy[] =
    "[rule.r]\nmin_bad = 3\npercent = 50\nblock_for = \"1h\"\n"
    "[rule.long]\nmin_bad = 9\npercent = 50\nwindow = \"24h\"\n";

class ClockBackTest : public testing::TestWithParam<absl::Duration> {
 protected:
  ClockBackTest() { f_.clock_.Set(At(GetParam())); }

  // Back to the morning, ten minutes later than the clock was set.
  void SetRight() { f_.clock_.Set(At(Minutes(10))); }

  LimiterFixture f_{kPolicy};
};

TEST_P(ClockBackTest, LinesOfNowCountAtOnce) {
  f_.FeedMany(2, "a.example", GetParam(), Outcome::kFailed);
  SetRight();
  f_.FeedMany(2, "a.example", Minutes(10), Outcome::kFailed);
  EXPECT_EQ(f_.CountsNow("a.example"), (Counts{.failed = 2}));
  EXPECT_FALSE(f_.OpenCase("a.example").has_value()) << "by what bears stamps of another day";
  f_.Feed("a.example", Minutes(10), Outcome::kFailed);
  EXPECT_EQ(f_.OpenCase("a.example")->since, At(Minutes(10)));
  EXPECT_EQ(f_.limiter_->stats().clock_back.at, At(Minutes(10)));
  EXPECT_EQ(f_.limiter_->stats().clock_back.by, GetParam() - Minutes(10));
  // A restart does not take back that it is said.
  ASSERT_THAT(f_.committer_->Commit(), IsOk());
  f_.Start();
  EXPECT_EQ(f_.limiter_->stats().clock_back.at, At(Minutes(10)));
  EXPECT_EQ(f_.limiter_->stats().clock_back.by, GetParam() - Minutes(10));
}

// When the time comes that the clock once told, what it stamped then is not there.
TEST_P(ClockBackTest, WhatWasStampedAheadNeverCountsAgain) {
  f_.FeedMany(2, "a.example", GetParam(), Outcome::kFailed);
  SetRight();
  f_.Feed("b.example", Minutes(10), Outcome::kDelivered);
  for (int restart = 0; restart < 2; ++restart) {
    f_.clock_.Set(At(GetParam()) + Minutes(1));
    f_.Feed("b.example", GetParam(), Outcome::kDelivered);
    EXPECT_EQ(f_.CountsNow("a.example"), Counts());
    ASSERT_TRUE(f_.committer_->Commit().ok());
    f_.Start();
  }
}

TEST_P(ClockBackTest, AMessageThatIsTriedAgainCounts) {
  f_.Feed("a.example", GetParam(), Outcome::kDeferred, "m");
  SetRight();
  f_.Feed("a.example", Minutes(10), Outcome::kDeferred, "m");
  f_.Feed("a.example", Minutes(11), Outcome::kDeferred, "m");
  EXPECT_EQ(f_.CountsNow("a.example"), (Counts{.deferred = 1}));
  f_.Feed("a.example", Minutes(12), Outcome::kDelivered, "m");
  EXPECT_EQ(f_.CountsNow("a.example"), (Counts{.delivered = 1}));
}

TEST_P(ClockBackTest, ACaseLastsAsLongAsItWouldHave) {
  f_.FeedMany(3, "a.example", GetParam(), Outcome::kFailed);
  f_.committer_->Block({SubjectKind::kDomain, "hand.example"}, Hours(2), "root", "abuse");
  SetRight();
  f_.Feed("b.example", Minutes(10), Outcome::kDelivered);
  EXPECT_EQ(f_.OpenCase("a.example")->until, At(Minutes(70)));
  EXPECT_EQ(f_.OpenCase("hand.example")->until, At(Minutes(130)));
  f_.clock_.Set(At(Minutes(71)));
  f_.committer_->Tick();
  EXPECT_FALSE(f_.OpenCase("a.example").has_value());
}

TEST_P(ClockBackTest, WhoWasUnblockedAheadIsCounted) {
  f_.FeedMany(3, "a.example", GetParam(), Outcome::kFailed);
  ASSERT_TRUE(f_.committer_->Unblock({SubjectKind::kDomain, "a.example"}, "root", "").ok());
  SetRight();
  f_.Feed("b.example", Minutes(10), Outcome::kDelivered);
  f_.clock_.Set(At(Minutes(12)));
  f_.FeedMany(3, "a.example", Minutes(12), Outcome::kFailed);
  EXPECT_TRUE(f_.OpenCase("a.example").has_value());
}

INSTANTIATE_TEST_SUITE_P(By, ClockBackTest, testing::Values(Hours(3), Hours(24), Hours(24 * 400)));

TEST(ClockBack, ASmallStepForgetsNothing) {
  LimiterFixture f(kPolicy, At(Minutes(20)));
  f.FeedMany(2, "a.example", Minutes(20), Outcome::kFailed);
  f.clock_.Set(At(Minutes(10)));
  f.Feed("a.example", Minutes(10), Outcome::kFailed);
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.failed = 3}));
  EXPECT_EQ(f.limiter_->stats().clock_back.at, absl::InfinitePast());
}

}  // namespace
}  // namespace deferd
