#include "limiter/committer.h"

#include "gmock/gmock.h"
#include "limiter/store/case_codec.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr char kCommitterPolicy[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";

class CommitterTest : public testing::Test, public LimiterFixture {
 protected:
  CommitterTest() : LimiterFixture(kCommitterPolicy, At(absl::Minutes(12))) {}

  // One event of a message of the source "log".
  void Tell(LogEvent::Kind kind, const std::string& id, int64_t offset) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = kind;
    event->attempt = MakeAttempt("a.example", kMorning, Outcome::kDelivered, id);
    batch.position = SourcePosition{.source = "log"};
    batch.position->position.files.push_back({.offset = offset});
    committer_->Record(batch);
  }
  std::vector<std::string> OpenMessages() {
    Start();
    std::vector<std::string> ids;
    auto sources = committer_->TakeSources();
    for (const OpenMessage& message : sources["log"].open_messages) {
      ids.push_back(message.key.id);
    }
    return ids;
  }
  std::vector<LedgerRow> Rows(const LedgerQuery& query = {}) {
    return store_->NewReader()->Search(query)->rows;
  }
};

TEST_F(CommitterTest, CountsCasesAndPositionComeBack) {
  FeedMany(3, "a.example", absl::Minutes(1), Outcome::kFailed);
  Feed("b.example", absl::Minutes(2), Outcome::kDelivered);
  Tell(LogEvent::Kind::kArrived, "m1", 42);
  ASSERT_THAT(committer_->Commit(), IsOk());
  const Case before = *OpenCase("a.example");
  Start();
  EXPECT_EQ(CountsNow("a.example").failed, 3);
  EXPECT_EQ(CountsNow("b.example").delivered, 1);
  ASSERT_TRUE(OpenCase("a.example").has_value());
  EXPECT_EQ(CaseText(*OpenCase("a.example")), CaseText(before));
  EXPECT_THAT(cases_->EventsOf(before.subject, 9), SizeIs(1));
  auto sources = committer_->TakeSources();
  EXPECT_EQ(sources["log"].position.files[0].offset, 42);
  EXPECT_EQ(sources["log"].open_messages[0].identity.login, "bob@a.example");
}

TEST_F(CommitterTest, WhatWasNotCommittedIsAsIfItHadNotBeen) {
  FeedMany(2, "a.example", absl::Minutes(1), Outcome::kFailed);
  ASSERT_THAT(committer_->Commit(), IsOk());
  FeedMany(2, "a.example", absl::Minutes(1), Outcome::kFailed);
  EXPECT_TRUE(OpenCase("a.example").has_value());
  Start();
  EXPECT_EQ(CountsNow("a.example").failed, 2);
  EXPECT_FALSE(OpenCase("a.example").has_value());
  EXPECT_THAT(Rows(), SizeIs(2));
}

TEST_F(CommitterTest, AMessageCountsOnceOverARestart) {
  Feed("a.example", absl::Minutes(1), Outcome::kDeferred, "m1");
  ASSERT_THAT(committer_->Commit(), IsOk());
  Start();
  Feed("a.example", absl::Minutes(9), Outcome::kDeferred, "m1");
  EXPECT_EQ(CountsNow("a.example").deferred, 1);
  Feed("a.example", absl::Minutes(10), Outcome::kDelivered, "m1");
  EXPECT_EQ(CountsNow("a.example"), (Counts{.delivered = 1}));
  Complete("m1");
  ASSERT_THAT(committer_->Commit(), IsOk());
  Start();
  EXPECT_EQ(limiter_->stats().messages, 0u);
}

TEST_F(CommitterTest, APersonsDecisionsComeBack) {
  FeedMany(3, "a.example", absl::Minutes(11), Outcome::kFailed);
  ASSERT_THAT(committer_->Unblock({SubjectKind::kDomain, "a.example"}, "root", "fixed"), IsOk());
  committer_->Block({SubjectKind::kLogin, "eve@b.example"}, absl::Hours(2), "root", "abuse");
  ASSERT_THAT(committer_->Commit(/*durable=*/true), IsOk());
  Start();
  EXPECT_FALSE(OpenCase("a.example").has_value());
  FeedMany(2, "a.example", absl::Minutes(11), Outcome::kFailed);
  EXPECT_FALSE(OpenCase("a.example").has_value()) << "cleared_at holds on";
  EXPECT_EQ(cases_->Open()[0].reason, "abuse");
  EXPECT_EQ(cases_->Closed(9)[0].closed_reason, "fixed");
  const Case next =
      committer_->Block({SubjectKind::kDomain, "c.example"}, absl::Hours(1), "root", "");
  EXPECT_EQ(next.id, "0badcafe-1-3") << "case numbers go on";
}

TEST_F(CommitterTest, OpenMessagesAreKeptUntilTheyAreCompletedOrForgotten) {
  Tell(LogEvent::Kind::kArrived, "stays", 1);
  Tell(LogEvent::Kind::kArrived, "completed", 2);
  Tell(LogEvent::Kind::kArrived, "forgotten", 3);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_THAT(OpenMessages(), SizeIs(3));
  Tell(LogEvent::Kind::kCompleted, "completed", 4);
  Tell(LogEvent::Kind::kForgotten, "forgotten", 5);
  Tell(LogEvent::Kind::kArrived, "came and went", 6);
  Tell(LogEvent::Kind::kCompleted, "came and went", 7);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_THAT(OpenMessages(), ElementsAre("stays"));
  // An id that comes again while the old one is stored, and goes within one commit.
  Tell(LogEvent::Kind::kForgotten, "stays", 8);
  Tell(LogEvent::Kind::kArrived, "stays", 8);
  Tell(LogEvent::Kind::kCompleted, "stays", 9);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_THAT(OpenMessages(), IsEmpty());
}

TEST_F(CommitterTest, AFullDiskLosesNothing) {
  Feed("a.example", absl::Minutes(1), Outcome::kDeferred, "m1");
  ASSERT_THAT(committer_->Commit(), IsOk());
  store_->FailCommits(2);
  Feed("a.example", absl::Minutes(2), Outcome::kFailed, "m2");
  Complete("m1");
  EXPECT_THAT(committer_->Commit(), Not(IsOk()));
  EXPECT_EQ(committer_->status().problem, "state.db: the disk is full; make room on it");
  EXPECT_EQ(committer_->status().failing_since, clock_.Now());
  FeedMany(2, "a.example", absl::Minutes(3), Outcome::kFailed);
  EXPECT_TRUE(OpenCase("a.example").has_value()) << "counting and answers go on";
  EXPECT_THAT(committer_->Commit(), Not(IsOk()));
  EXPECT_EQ(committer_->status().waiting_rows, 3u);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_EQ(committer_->status().problem, "");
  EXPECT_EQ(committer_->status().failures, 2);
  Start();
  EXPECT_EQ(CountsNow("a.example"), (Counts{.deferred = 1, .failed = 3}));
  EXPECT_TRUE(OpenCase("a.example").has_value());
  EXPECT_EQ(limiter_->stats().messages, 3u) << "m1 is completed";
  EXPECT_THAT(Rows(), SizeIs(4));
}

TEST_F(CommitterTest, AFactThatIsRememberedWhileTheLogIsQuietIsStored) {
  committer_->Remember("queue_one", 1);
  ASSERT_THAT(committer_->Commit(), IsOk());
  committer_->Remember("queue_two", 2);
  store_->FailCommits(1);
  EXPECT_THAT(committer_->Commit(), Not(IsOk()));  // it waits for the next one
  ASSERT_THAT(committer_->Commit(), IsOk());
  Start();
  EXPECT_EQ(committer_->remembered().count("queue_one"), 1u);
  EXPECT_EQ(committer_->remembered().count("queue_two"), 1u);
  committer_->Remember("queue_one", std::nullopt);
  ASSERT_THAT(committer_->Commit(), IsOk());
  Start();
  EXPECT_EQ(committer_->remembered().count("queue_one"), 0u);
}

TEST_F(CommitterTest, HeldRowsAreBoundedAndThoseLostAreCounted) {
  store_->FailCommits(1);
  EventBatch batch;
  for (size_t i = 0; i < Uncommitted::kMaxRows + 5; ++i) {
    *batch.Add() = {LogEvent::Kind::kAttempt,
                    MakeAttempt("a.example", kMorning, Outcome::kDelivered, "m")};
  }
  committer_->Record(batch);
  EXPECT_EQ(committer_->status().lost_rows, 5);
}

TEST_F(CommitterTest, AReceiptHoldsTheAttemptsThatMadeItTrip) {
  Feed("a.example", absl::Minutes(-61), Outcome::kFailed, "old");
  Feed("a.example", absl::Minutes(0), Outcome::kDelivered, "good");
  Feed("a.example", absl::Minutes(1), Outcome::kDeferred, "m1");
  Feed("a.example", absl::Minutes(2), Outcome::kDeferred, "m1");
  Feed("a.example", absl::Minutes(2), Outcome::kFailed, "m2");
  Feed("b.example", absl::Minutes(2), Outcome::kFailed, "other");
  EventBatch batch;  // the one that trips, and one of the same second behind it
  *batch.Add() = {LogEvent::Kind::kAttempt,
                  MakeAttempt("a.example", At(absl::Minutes(3)), Outcome::kFailed, "m3")};
  *batch.Add() = {LogEvent::Kind::kAttempt,
                  MakeAttempt("a.example", At(absl::Minutes(3)), Outcome::kFailed, "m4")};
  committer_->Record(batch);
  const Case record = *OpenCase("a.example");
  EXPECT_FALSE(committer_->ReceiptOf(record).has_value());
  ASSERT_THAT(committer_->Commit(), IsOk());
  auto ids = [&] {
    std::vector<std::string> found;
    const Receipt receipt = committer_->ReceiptOf(record).value_or(Receipt());
    for (const LedgerRow& row : receipt.rows) found.push_back(row.message_id);
    return found;
  };
  EXPECT_THAT(ids(), ElementsAre("m3", "m2", "m1"));
  EXPECT_EQ(committer_->ReceiptOf(record)->rows[2].time, At(absl::Minutes(1)))
      << "when it got its outcome";
  Start();
  EXPECT_THAT(ids(), ElementsAre("m3", "m2", "m1"));
}

TEST_F(CommitterTest, AReceiptThatACrashCutOffIsGatheredAfterwards) {
  FeedMany(3, "a.example", absl::Minutes(1), Outcome::kFailed);
  const Case record = *OpenCase("a.example");
  store_->FailCommits(1, /*good=*/1);  // the case is stored, its receipt not
  ASSERT_THAT(committer_->Commit(), IsOk());
  ASSERT_NE(committer_->status().problem, "");
  Start();
  EXPECT_FALSE(committer_->ReceiptOf(record).has_value());
  EXPECT_EQ(committer_->ReceiptsDue(), 1u);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_THAT(committer_->ReceiptOf(record)->rows, SizeIs(3));
  EXPECT_EQ(committer_->ReceiptsDue(), 0u);
}

TEST_F(CommitterTest, SettingsThatChangedWhileItWasDown) {
  FeedMany(3, "a.example", absl::Minutes(1), Outcome::kFailed);
  ASSERT_THAT(committer_->Commit(), IsOk());
  settings_.policy = ParsedPolicy(
      "[rule.r]\nmin_bad = 3\npercent = 50\nshadow = true\n[rule.s]\nmin_bad = 9\npercent = 50\n"
      "window = \"10m\"\n");
  Start();
  EXPECT_FALSE(OpenCase("a.example").has_value()) << "no longer enforced";
  EXPECT_EQ(CountsNow("a.example").failed, 3);
  ASSERT_THAT(committer_->Commit(), IsOk());
  // The hour's windows are of no use to this one, and go.
  settings_.policy = ParsedPolicy("[rule.s]\nmin_bad = 9\npercent = 50\nwindow = \"10m\"\n");
  Start();
  EXPECT_EQ(CountsNow("a.example"), Counts());
  ASSERT_THAT(committer_->Commit(), IsOk());
  settings_.policy = ParsedPolicy(kCommitterPolicy);
  Start();
  EXPECT_EQ(CountsNow("a.example"), Counts());
}

TEST_F(CommitterTest, AClockThatWasAheadDoesNotStopCounting) {
  clock_.Set(kMorning + absl::Hours(24));
  Feed("a.example", absl::Hours(24), Outcome::kDelivered);
  ASSERT_THAT(committer_->Commit(), IsOk());
  clock_.Set(At(absl::Minutes(12)));
  Start();
  FeedMany(3, "a.example", absl::Minutes(12), Outcome::kFailed);
  EXPECT_EQ(CountsNow("a.example").failed, 3);
  EXPECT_TRUE(OpenCase("a.example").has_value());
}

TEST_F(CommitterTest, AWindowThatGoesAndComesBackBeforeACommitIsKept) {
  Feed("a.example", absl::Minutes(1), Outcome::kFailed);
  ASSERT_THAT(committer_->Commit(), IsOk());
  Settings without = settings_;
  without.policy = ParsedPolicy("[rule.s]\nmin_bad = 9\npercent = 50\nwindow = \"10m\"\n");
  committer_->SetSettings(without);
  committer_->SetSettings(settings_);
  FeedMany(2, "a.example", absl::Minutes(2), Outcome::kFailed);
  ASSERT_THAT(committer_->Commit(), IsOk());
  Start();
  EXPECT_EQ(CountsNow("a.example").failed, 2);
}

TEST_F(CommitterTest, MessagesThatCameAndWentDuringAFailureLeaveNothing) {
  store_->FailCommits(3);
  for (int i = 0; i < 3; ++i) {
    Feed("a.example", absl::Minutes(1), Outcome::kDelivered, "short");
    EXPECT_THAT(committer_->Commit(), Not(IsOk()));
    Complete("short");
  }
  StoreBatch batch;
  limiter_->stored().CollectChanges(&batch);
  EXPECT_THAT(batch.contributions, IsEmpty());
  limiter_->stored().ChangesSaved(false);
}

TEST_F(CommitterTest, ADecisionThatWasCommittedInPassingIsMadeDurable) {
  committer_->Block({SubjectKind::kDomain, "c.example"}, absl::Hours(1), "root", "");
  ASSERT_THAT(committer_->Commit(), IsOk());
  const int before = store_->commits();
  ASSERT_THAT(committer_->Commit(/*durable=*/true), IsOk());
  EXPECT_EQ(store_->commits(), before + 1);
  ASSERT_THAT(committer_->Commit(/*durable=*/true), IsOk());
  EXPECT_EQ(store_->commits(), before + 1) << "nothing more to make durable";
}

TEST_F(CommitterTest, DeadSubjectsAndOldCasesLeaveTheStore) {
  FeedMany(3, "a.example", absl::Minutes(1), Outcome::kFailed);
  ASSERT_THAT(committer_->Commit(), IsOk());
  clock_.Set(kMorning + absl::Hours(24 * 9));
  Feed("b.example", absl::Hours(24 * 9), Outcome::kDelivered);
  ASSERT_THAT(committer_->Commit(), IsOk());
  Feed("b.example", absl::Hours(24 * 9 + 2), Outcome::kDelivered);
  ASSERT_THAT(committer_->Commit(), IsOk());
  Start();
  EXPECT_EQ(limiter_->stats().subjects, 1u);
  EXPECT_THAT(cases_->Closed(9), IsEmpty());
  EXPECT_THAT(cases_->Open(), IsEmpty());
}

}  // namespace
}  // namespace deferd
