#include "limiter/app/trouble_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kNoon = absl::FromUnixSeconds(1'790'000'000);

TEST(TroubleWatch, ToldOnceWhenItLastsAndOnceWhenItIsOver) {
  TroubleWatch watch("n1");
  const StandingTrouble full = {.key = "store",
                                .kind = NoticeKind::kStoreTrouble,
                                .what = "disk full",
                                .remedy = "make room",
                                .subject = ""};
  EXPECT_THAT(watch.Look({full}, kNoon), IsEmpty());
  const std::vector<Notice> told = watch.Look({full}, kNoon + absl::Minutes(1));
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].kind, NoticeKind::kStoreTrouble);
  EXPECT_THAT(watch.Look({full}, kNoon + absl::Minutes(2)), IsEmpty());
  const std::vector<Notice> over = watch.Look({}, kNoon + absl::Minutes(3));
  ASSERT_THAT(over, SizeIs(1));
  EXPECT_EQ(over[0].kind, NoticeKind::kRecovered);
  EXPECT_EQ(over[0].thread, told[0].thread);
  EXPECT_NE(over[0].id, told[0].id);
}

TEST(TroubleWatch, WhatIsOverAtOnceIsToldToNobody) {
  TroubleWatch watch("n1");
  const StandingTrouble starting = {
      .key = "log-x", .kind = NoticeKind::kLogProblem, .what = "", .remedy = "", .subject = ""};
  EXPECT_THAT(watch.Look({starting}, kNoon), IsEmpty());
  EXPECT_THAT(watch.Look({}, kNoon + absl::Seconds(20)), IsEmpty());
  EXPECT_THAT(watch.Look({starting}, kNoon + absl::Minutes(5)), IsEmpty());
}

}  // namespace
}  // namespace deferd
