#include "limiter/counting/window.h"

#include <map>
#include <random>
#include <utility>

#include "gtest/gtest.h"

namespace deferd {
namespace {

constexpr int64_t kAll = std::numeric_limits<int64_t>::min();

TEST(StepClock, StepsAreSixtiethsOfTheWindow) {
  StepClock hour(absl::Hours(1));
  EXPECT_EQ(hour.StepOf(absl::FromUnixSeconds(0)), 0);
  EXPECT_EQ(hour.StepOf(absl::FromUnixSeconds(59)), 0);
  EXPECT_EQ(hour.StepOf(absl::FromUnixMillis(59'999)), 0);
  EXPECT_EQ(hour.StepOf(absl::FromUnixSeconds(60)), 1);
  EXPECT_EQ(hour.StepOf(absl::FromUnixSeconds(-1)), -1) << "before 1970: still rounded down";
  EXPECT_EQ(hour.StepOf(absl::FromUnixSeconds(-60)), -1);
  EXPECT_EQ(hour.StepOf(absl::FromUnixSeconds(-61)), -2);
  StepClock minute(absl::Minutes(1));
  EXPECT_EQ(minute.StepOf(absl::FromUnixSeconds(61)), 61);
}

TEST(StepClock, EndOfIsTheLastSecondOfItsStep) {
  StepClock hour(absl::Hours(1));
  EXPECT_EQ(hour.StepOf(hour.EndOf(7)), 7);
  EXPECT_EQ(hour.StepOf(hour.EndOf(7) + absl::Seconds(1)), 8);
}

TEST(StepClock, SixtyStepsAreLive) {
  StepClock hour(absl::Hours(1));
  EXPECT_TRUE(hour.Live(100, 100));
  EXPECT_TRUE(hour.Live(41, 100));
  EXPECT_FALSE(hour.Live(40, 100));
  EXPECT_FALSE(hour.Live(101, 100));
}

TEST(Window, CountsByOutcome) {
  Window window;
  window.Add(5, CountedOutcome::kDelivered, 6);
  window.Add(5, CountedOutcome::kDeferred, 6);
  window.Add(5, CountedOutcome::kDeferred, 6);
  window.Add(6, CountedOutcome::kFailed, 6);
  EXPECT_EQ(window.Sum(6, kAll), (Counts{.delivered = 1, .deferred = 2, .failed = 1}));
}

TEST(Window, RejectedRecipientsAreInNoTotal) {
  Window window;
  for (int64_t step = 1; step <= 60; ++step) window.Add(step, CountedOutcome::kRejected, 60);
  window.Add(60, CountedOutcome::kFailed, 60);
  const Counts counts = window.Sum(60, kAll);
  EXPECT_EQ(counts, (Counts{.failed = 1, .rejected = 60}));
  EXPECT_EQ(counts.total(), 1);
  EXPECT_TRUE(window.Remove(60, CountedOutcome::kRejected));
  EXPECT_EQ(window.Sum(60, kAll).rejected, 59);
}

TEST(Window, CellsOlderThanSixtyStepsDoNotCount) {
  Window window;
  window.Add(1, CountedOutcome::kFailed, 1);
  EXPECT_EQ(window.Sum(60, kAll).failed, 1);
  EXPECT_EQ(window.Sum(61, kAll).failed, 0);
}

TEST(Window, OnlyLaterStepsCountAfterAClear) {
  Window window;
  window.Add(10, CountedOutcome::kFailed, 11);
  window.Add(11, CountedOutcome::kFailed, 11);
  EXPECT_EQ(window.Sum(11, 10).failed, 1);
  EXPECT_EQ(window.Sum(11, 11).failed, 0);
}

TEST(Window, RemoveTakesOneOutAndNeverGoesBelowZero) {
  Window window;
  window.Add(3, CountedOutcome::kDeferred, 3);
  EXPECT_FALSE(window.Remove(3, CountedOutcome::kFailed));
  EXPECT_FALSE(window.Remove(2, CountedOutcome::kDeferred));
  EXPECT_TRUE(window.Remove(3, CountedOutcome::kDeferred));
  EXPECT_FALSE(window.Remove(3, CountedOutcome::kDeferred));
  EXPECT_EQ(window.Sum(3, kAll), Counts{});
  EXPECT_TRUE(window.empty());
}

TEST(Window, AnEventBeforeTheFirstOneFindsItsPlace) {
  Window window;
  window.Add(100, CountedOutcome::kFailed, 100);
  window.Add(90, CountedOutcome::kDelivered, 100);
  window.Add(95, CountedOutcome::kDeferred, 100);
  EXPECT_EQ(window.Sum(100, kAll), (Counts{.delivered = 1, .deferred = 1, .failed = 1}));
  EXPECT_EQ(window.Sum(100, 90), (Counts{.delivered = 0, .deferred = 1, .failed = 1}));
}

TEST(Window, CountsFurtherThanACellHolds) {
  Window window;
  constexpr int64_t kMany = (1 << 24) + 5;
  for (int64_t i = 0; i < kMany; ++i) window.Add(7, CountedOutcome::kFailed, 7);
  window.Add(7, CountedOutcome::kDelivered, 7);
  EXPECT_EQ(window.Sum(7, kAll), (Counts{.delivered = 1, .failed = kMany}));
  for (int64_t i = 0; i < kMany; ++i) ASSERT_TRUE(window.Remove(7, CountedOutcome::kFailed));
  EXPECT_FALSE(window.Remove(7, CountedOutcome::kFailed));
  EXPECT_EQ(window.Sum(7, kAll), (Counts{.delivered = 1}));
}

// The window against a plain map, under random additions, removals and expiries.
TEST(Window, EqualsAPlainMap) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Window window;
    std::map<std::pair<int64_t, int>, int64_t> model;
    int64_t now = -70;  // begins before step 0
    for (int i = 0; i < 5'000; ++i) {
      now += random() % 4 == 0 ? random() % 5 : 0;
      if (random() % 500 == 0) now += 200;
      const int64_t step = now - static_cast<int64_t>(random() % 60);
      const auto outcome = static_cast<CountedOutcome>(random() % 3);
      int64_t& cell = model[{step, static_cast<int>(outcome)}];
      switch (random() % 4) {
        case 0:
          ASSERT_EQ(window.Remove(step, outcome), cell > 0) << "seed " << seed << " op " << i;
          if (cell > 0) --cell;
          break;
        case 1:
          window.Expire(now);
          for (auto& [key, count] : model) {
            if (key.first <= now - 60) count = 0;
          }
          break;
        default:
          window.Add(step, outcome, now);
          for (auto& [key, count] : model) {
            if (key.first <= now - 60) count = 0;
          }
          ++cell;
      }
      const int64_t after = random() % 3 == 0 ? now - static_cast<int64_t>(random() % 70) : kAll;
      Counts expected;
      for (const auto& [key, count] : model) {
        if (key.first <= now - 60 || key.first > now || key.first <= after) continue;
        if (key.second == 0) expected.delivered += count;
        if (key.second == 1) expected.deferred += count;
        if (key.second == 2) expected.failed += count;
      }
      ASSERT_EQ(window.Sum(now, after), expected) << "seed " << seed << " op " << i;
    }
  }
}

}  // namespace
}  // namespace deferd
