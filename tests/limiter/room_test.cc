// More subjects than there is room for.

#include <map>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/store/store_fixture.h"

namespace deferd {
namespace {

using absl::Minutes;
using absl::Seconds;

constexpr char kRoomPolicy[] = "[rule.r]\nmin_bad = 10\npercent = 50\nblock_for = \"1h\"\n";

class RoomTest : public testing::Test {
 protected:
  RoomTest() {
    f_.max_subjects_ = 1'000;
    f_.Start();
  }
  // `n` names that were never seen before, one attempt each.
  void Strangers(int n, absl::Duration at, Outcome outcome = Outcome::kFailed) {
    for (int i = 0; i < n; ++i) {
      f_.Feed(absl::StrCat("new", next_++, ".example"), at, outcome);
      ASSERT_LE(f_.limiter_->stats().subjects, f_.max_subjects_);
    }
  }

  int next_ = 0;
  LimiterFixture f_{kRoomPolicy, At(Minutes(30))};
};

TEST_F(RoomTest, CountsNearALimitAreExactHoweverManySubjectsCome) {
  f_.FeedMany(9, "near.example", Minutes(1), Outcome::kFailed);
  f_.FeedMany(8, "shop.example", Minutes(1), Outcome::kDelivered);
  Strangers(4'000, Minutes(2));
  EXPECT_EQ(f_.CountsNow("near.example"), (Counts{.failed = 9}));
  EXPECT_EQ(f_.CountsNow("shop.example"), (Counts{.delivered = 8}));
  f_.Feed("near.example", Minutes(3), Outcome::kFailed);
  EXPECT_TRUE(f_.OpenCase("near.example").has_value());
  EXPECT_GE(f_.limiter_->stats().evicted_subjects, 3'000);
}

// Each count is compared with the limits on it: nine bad ones are far from 1000, though nine
// messages are near ten.
TEST_F(RoomTest, NearIsWhatIsNearItsOwnLimit) {
  LimiterFixture f("[rule.bad]\nmin_bad = 1000\npercent = 50\n[rule.sent]\nmax_sent = 10\n",
                   At(Minutes(30)));
  f.max_subjects_ = 100;
  f.Start();
  for (int i = 0; i < 9; ++i) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kArrived;
    event->attempt.time = At(Minutes(1));
    event->attempt.message = {absl::StrCat("m", i), At(Minutes(1))};
    event->attempt.identity = {.sender = "a@near.example", .login = "a@near.example"};
    f.committer_->Record(batch);
  }
  for (int i = 0; i < 500; ++i) {
    f.FeedMany(10, absl::StrCat("far", i, ".example"), Minutes(2), Outcome::kFailed);
  }
  EXPECT_EQ(f.CountsNow("near.example").sent, 9);
}

TEST_F(RoomTest, CasesAndClearingsStay) {
  f_.FeedMany(10, "bad.example", Minutes(1), Outcome::kFailed);
  f_.FeedMany(10, "cleared.example", Minutes(1), Outcome::kFailed);
  ASSERT_TRUE(f_.committer_->Unblock({SubjectKind::kDomain, "cleared.example"}, "root", "").ok());
  Strangers(3'000, Minutes(2));
  EXPECT_EQ(f_.CountsNow("bad.example").failed, 10);
  EXPECT_TRUE(f_.OpenCase("bad.example").has_value());
  EXPECT_EQ(f_.CountsNow("cleared.example").failed, 0);
}

TEST_F(RoomTest, OfEquallyEmptyOnesTheOldestGo) {
  for (int minute = 0; minute < 30; ++minute) Strangers(100, Minutes(minute));
  EXPECT_EQ(f_.CountsNow("new2999.example").failed, 1);
  EXPECT_EQ(f_.CountsNow("new2300.example").failed, 1);
  EXPECT_EQ(f_.CountsNow("new0.example").failed, 0);
}

// Also if all are near a limit: the memory has a bound.
TEST_F(RoomTest, ManyThatAreNearHaveABoundToo) {
  for (int i = 0; i < 1'500; ++i) {
    f_.FeedMany(5, absl::StrCat("five", i, ".example"), Minutes(1), Outcome::kFailed);
    ASSERT_LE(f_.limiter_->stats().subjects, f_.max_subjects_);
  }
}

TEST_F(RoomTest, ForgottenMessagesLeaveTheStoreAndALateOutcomeIsNoError) {
  f_.Feed("late.example", Minutes(1), Outcome::kDeferred, "m");
  ASSERT_TRUE(f_.committer_->Commit().ok());
  Strangers(3'000, Minutes(2));
  ASSERT_TRUE(f_.committer_->Commit().ok());
  f_.Feed("late.example", Minutes(3), Outcome::kDelivered, "m");
  EXPECT_EQ(f_.CountsNow("late.example"), (Counts{.delivered = 1}));
  ASSERT_TRUE(f_.committer_->Commit().ok());
  const size_t before = f_.limiter_->stats().subjects;
  f_.Start();
  EXPECT_EQ(f_.limiter_->stats().subjects, before);
  EXPECT_EQ(f_.CountsNow("late.example"), (Counts{.delivered = 1}));
}

TEST_F(RoomTest, AStoreWithMoreIsTakenUpWithinTheBound) {
  f_.FeedMany(10, "bad.example", Minutes(1), Outcome::kFailed);
  Strangers(900, Minutes(2));
  ASSERT_TRUE(f_.committer_->Commit().ok());
  f_.max_subjects_ = 100;
  f_.Start();
  EXPECT_LE(f_.limiter_->stats().subjects, 100u);
  EXPECT_EQ(f_.CountsNow("bad.example").failed, 10);
  EXPECT_TRUE(f_.OpenCase("bad.example").has_value());
}

TEST_F(RoomTest, TheStoreHasWhatIsThereAndNothingElse) {
  for (int i = 0; i < 50; ++i) {
    Strangers(100, Minutes(2));
    if (i % 3 == 0) f_.store_->FailCommits(1);
    f_.committer_->Commit().IgnoreError();
  }
  ASSERT_TRUE(f_.committer_->Commit().ok());
  EXPECT_EQ(ContentsOf(f_.store_.get()).windows.size(), f_.limiter_->stats().subjects);
}

TEST_F(RoomTest, WhatWaitsForAFullDiskIsBounded) {
  f_.FeedMany(9, "near.example", Minutes(1), Outcome::kFailed);
  ASSERT_TRUE(f_.committer_->Commit().ok());
  f_.store_->FailCommits(1'000);
  for (int i = 0; i < 20; ++i) {
    Strangers(1'000, Minutes(2));
    ASSERT_FALSE(f_.committer_->Commit().ok());
  }
  StoreBatch waiting;
  f_.limiter_->stored().CollectChanges(&waiting);
  f_.limiter_->stored().ChangesSaved(false);
  EXPECT_LE(waiting.windows.size(), 2 * f_.max_subjects_);
  f_.store_->FailCommits(0);
  ASSERT_TRUE(f_.committer_->Commit().ok());
  const size_t subjects = f_.limiter_->stats().subjects;
  f_.Start();
  EXPECT_EQ(f_.limiter_->stats().subjects, subjects);
  EXPECT_EQ(f_.CountsNow("near.example").failed, 9);
  EXPECT_EQ(f_.CountsNow("new19999.example").failed, 1);
}

TEST_F(RoomTest, WhatWaitsForTheSharedStoreIsBounded) {
  CaseTable cases;
  Limiter limiter({.node = "0badcafe", .max_subjects = 1'000, .keep = true, .shared = true},
                  f_.settings_, &f_.clock_, &cases);
  for (int i = 0; i < 200; ++i) {
    EventBatch batch;
    for (int j = 0; j < 100; ++j) {
      *batch.Add() = {LogEvent::Kind::kAttempt,
                      LimiterFixture::MakeAttempt(absl::StrCat("new", i, "-", j, ".example"),
                                                  At(Minutes(2)), Outcome::kFailed)};
    }
    EXPECT_FALSE(limiter.Record(batch).empty());
    StoreBatch changes;
    limiter.stored().CollectChanges(&changes);
    limiter.stored().ChangesSaved(true);
  }
  EXPECT_LE(limiter.nodes().stats().waiting_subjects, 2 * f_.max_subjects_);
  const std::vector<RowPut> puts = limiter.nodes().TakeRowsToPut(1'000'000);
  EXPECT_LE(puts.size(), 2 * f_.max_subjects_);
  EXPECT_GE(puts.size(), 800u);
}

}  // namespace
}  // namespace deferd
