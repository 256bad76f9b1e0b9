#include "limiter/app/freshness_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'795'334'400);

class FreshnessWatchTest : public testing::Test {
 protected:
  FreshnessWatchTest() {
    source_.path = "/log";
    source_.readable = true;
    source_.at_end = true;
  }
  std::vector<std::string> Look(absl::Time now = kNow, bool all_counted = true) {
    watch_.Look({source_}, all_counted, save_problem_, absl::Hours(1), now);
    return freshness_.Get().causes;
  }

  Freshness freshness_{kNow};
  FreshnessWatch watch_{&freshness_};
  FollowerStatus source_;
  std::string save_problem_;
};

TEST_F(FreshnessWatchTest, NothingIsKnownBeforeTheFirstLook) {
  EXPECT_TRUE(freshness_.unchecked());
}

TEST_F(FreshnessWatchTest, AllReadAndCountedIsChecked) {
  source_.at_end = false;
  EXPECT_THAT(Look(), ElementsAre(HasSubstr("starting")));
  source_.at_end = true;
  EXPECT_THAT(Look(kNow, /*all_counted=*/false), ElementsAre(HasSubstr("starting")));
  EXPECT_THAT(Look(), IsEmpty());
  EXPECT_FALSE(freshness_.unchecked());
  EXPECT_THAT(Look(kNow, /*all_counted=*/false), IsEmpty()) << "only the start waits for that";
}

TEST_F(FreshnessWatchTest, ALagOfMoreThanAMinute) {
  Look();
  source_.lag = absl::Seconds(60);
  EXPECT_THAT(Look(), IsEmpty());
  source_.lag = absl::Seconds(61);
  EXPECT_THAT(Look(), ElementsAre("/log: read with a lag of 61 s"));
  source_.lag = absl::ZeroDuration();
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(FreshnessWatchTest, WhatSharingDoesNotKnow) {
  watch_.Look({source_}, true, "", absl::Hours(1), kNow, {"redis: not shared for 11 s: gone"});
  EXPECT_THAT(freshness_.Get().causes, ElementsAre("redis: not shared for 11 s: gone"));
  EXPECT_TRUE(freshness_.unchecked());
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(FreshnessWatchTest, AnUnreadableLog) {
  Look();
  source_.readable = false;
  source_.problem = "permission denied";
  EXPECT_THAT(Look(), ElementsAre("/log: permission denied"));
}

TEST_F(FreshnessWatchTest, LostLinesUntilTheWindowHasPassed) {
  Look();
  source_.gaps = 1;
  source_.last_gap = kNow;
  EXPECT_THAT(Look(kNow), ElementsAre(HasSubstr("lines were lost")));
  EXPECT_THAT(Look(kNow + absl::Minutes(59)), ElementsAre(HasSubstr("lines were lost")));
  EXPECT_THAT(Look(kNow + absl::Minutes(60)), IsEmpty());
}

TEST_F(FreshnessWatchTest, AStateThatCannotBeSaved) {
  Look();
  save_problem_ = "state.db: the disk is full";
  EXPECT_THAT(Look(), ElementsAre("counts cannot be saved: state.db: the disk is full"));
  save_problem_.clear();
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(FreshnessWatchTest, TheClockMayEndCasesOnlyAtTheEndOfAllLogs) {
  auto look = [&](bool all_counted) {
    return watch_.Look({source_}, all_counted, "", absl::Hours(1), kNow);
  };
  source_.at_end = false;
  EXPECT_FALSE(look(true));
  source_.at_end = true;
  EXPECT_TRUE(look(true));
  EXPECT_FALSE(look(false));
  source_.lag = absl::Seconds(1);
  EXPECT_FALSE(look(true));
}

TEST_F(FreshnessWatchTest, WithoutALogNothingIsKnown) {
  FreshnessWatch none(&freshness_);
  none.Look({}, true, "", absl::Hours(1), kNow);
  EXPECT_THAT(freshness_.Get().causes, ElementsAre(HasSubstr("no log is followed")));
}

TEST_F(FreshnessWatchTest, SaysSinceWhen) {
  Look(kNow);
  source_.lag = absl::Minutes(2);
  Look(kNow + absl::Seconds(10));
  Look(kNow + absl::Seconds(20));
  EXPECT_EQ(freshness_.Get().since, kNow + absl::Seconds(10));
}

}  // namespace
}  // namespace deferd
