// Limits on what is sent: counted once, when a message is accepted, by its arrival or a question.

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/counting/accepted.h"
#include "limiter/evidence/receipt.h"
#include "policy/refusal_text.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr char kSentPolicy[] = R"(
[rule.hourly]
max_sent = 5
window = "1h"
block_for = "1h"
action = "reject"
kind = "login"
[rule.daily]
max_sent = 40
sent = "recipients"
window = "24h"
block_for = "1h"
action = "reject"
)";

class SentRules : public testing::Test, protected LimiterFixture {
 protected:
  explicit SentRules(const std::string& policy = kSentPolicy)
      : LimiterFixture(policy, At(absl::Minutes(5))) {}

  void Tell(LogEvent::Kind kind, const std::string& id, const std::string& login, absl::Duration at,
            int64_t recipients = 1, const std::string& reply = "") {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = kind;
    event->attempt.time = At(at);
    event->attempt.message = {id, At(at)};
    event->attempt.identity = {.sender = login, .login = login};
    event->attempt.recipients = recipients;
    event->attempt.reply = reply;
    committer_->Record(batch);
  }
  void Arrive(const std::string& id, absl::Duration at, int64_t recipients = 1,
              const std::string& login = "ann@shop.example") {
    Tell(LogEvent::Kind::kArrived, id, login, at, recipients);
  }
  void Ask(const std::string& id, absl::Duration at,
           const std::string& login = "ann@shop.example") {
    Tell(LogEvent::Kind::kAccepted, id, login, at);
  }
  void Commit() { EXPECT_THAT(committer_->Commit(/*durable=*/true), IsOk()); }

  std::optional<Case> OpenOf(const std::string& login) const {
    return cases_->FindOpen({SubjectKind::kLogin, login}, false);
  }
  Counts SentBy(const std::string& login) const {
    return limiter_->Report({SubjectKind::kLogin, login}).rules.at(0).counts;
  }
};

TEST_F(SentRules, TheLastOneThatIsAllowedBlocks) {
  for (int i = 0; i < 4; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(1));
  EXPECT_FALSE(OpenOf("ann@shop.example"));
  Arrive("m4", absl::Minutes(2));
  ASSERT_TRUE(OpenOf("ann@shop.example")) << "five may be sent, the sixth is refused";
  const Case open = *OpenOf("ann@shop.example");
  EXPECT_EQ(open.bad(), 5);
  EXPECT_EQ(open.percent, 100);
  EXPECT_EQ(open.since, At(absl::Minutes(2)));
  const std::string text = RefusalText(*settings_.policy, open.ToRefusal(), Verdict::kReject);
  EXPECT_EQ(text,
            "Login ann@shop.example has exceeded the max emails per hour (5/5 (100%)) allowed. "
            "Message rejected, try again after 09:02 UTC.");
  EXPECT_TRUE(IsRefusalText(text));
  EXPECT_FALSE(OpenCase("shop.example"));
}

TEST_F(SentRules, AQuestionAndItsArrivalAreOne) {
  Ask("m1", absl::Minutes(1));
  Arrive("m1", absl::Minutes(1));
  EXPECT_EQ(SentBy("ann@shop.example").sent, 1);
  Arrive("m2", absl::Minutes(1));
  Ask("m2", absl::Minutes(1));
  EXPECT_EQ(SentBy("ann@shop.example").sent, 2);
  Ask("m3", absl::Minutes(2));
  Ask("m3", absl::Minutes(2));
  EXPECT_EQ(SentBy("ann@shop.example").sent, 3);
  // The same id hours later is another message.
  clock_.Set(At(absl::Hours(3)));
  Arrive("m3", absl::Hours(3));
  EXPECT_EQ(SentBy("ann@shop.example").sent, 1);
}

TEST_F(SentRules, QuestionsAloneBlock) {
  for (int i = 0; i < 5; ++i) Ask(absl::StrCat("q", i), absl::Minutes(1));
  EXPECT_TRUE(OpenOf("ann@shop.example")) << "before any of them arrived or was delivered";
}

TEST_F(SentRules, WhatIsNoMessageOfTheirsDoesNotCount) {
  Tell(LogEvent::Kind::kArrived, "m1", "", absl::Minutes(1));
  Tell(LogEvent::Kind::kShown, "m2", "ann@shop.example", absl::Minutes(1));
  Arrive("m3", absl::Minutes(30));  // ahead of the clock
  EXPECT_EQ(SentBy("ann@shop.example").sent, 0);
  Feed("shop.example", absl::Minutes(2), Outcome::kDelivered);
  EXPECT_EQ(CountsNow("shop.example").sent, 0) << "deliveries are not counted again";
}

TEST_F(SentRules, TheSenderMayBecomeKnownLater) {
  Tell(LogEvent::Kind::kArrived, "m1", "", absl::Minutes(1));
  Tell(LogEvent::Kind::kIdentified, "m1", "ann@shop.example", absl::Minutes(1));
  EXPECT_EQ(SentBy("ann@shop.example").sent, 1);
  Arrive("m2", absl::Minutes(1));
  Tell(LogEvent::Kind::kIdentified, "m2", "ann@shop.example", absl::Minutes(1));
  EXPECT_EQ(SentBy("ann@shop.example").sent, 2);
}

TEST_F(SentRules, RecipientsAreCountedAsFarAsTheyAreKnown) {
  Arrive("m1", absl::Minutes(1), 30);
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 30);
  Ask("m2", absl::Minutes(1));
  Arrive("m2", absl::Minutes(1), 4);
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 34);
  // An arrival that does not say how many: each recipient when it is first tried.
  Arrive("m3", absl::Minutes(1), 0);
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 35);
  for (const char* to : {"a@x", "b@x", "c@x", "a@x"}) {
    Attempt attempt = MakeAttempt("shop.example", At(absl::Minutes(2)), Outcome::kDeferred, "", to);
    attempt.message = {"m3", At(absl::Minutes(1))};
    Feed(attempt);
  }
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 37);
  Commit();
  Start();
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 37);
  Arrive("m4", absl::Minutes(3), 3);
  const std::optional<Case> open = OpenCase("shop.example");
  ASSERT_TRUE(open.has_value());
  EXPECT_THAT(RefusalText(*settings_.policy, open->ToRefusal(), Verdict::kReject),
              HasSubstr("has exceeded the max recipients per day (40/40 (100%)) allowed."));
}

// One address that the server expands to many is one recipient: that is what was sent to.
TEST_F(SentRules, AnAliasIsOneRecipient) {
  Arrive("m1", absl::Minutes(1), 0);
  const auto deliver = [&](const std::string& to, const std::string& original) {
    Attempt attempt =
        MakeAttempt("shop.example", At(absl::Minutes(2)), Outcome::kDelivered, "", to);
    attempt.original = original;
    attempt.message = {"m1", At(absl::Minutes(1))};
    Feed(attempt);
  };
  for (int i = 0; i < 30; ++i) deliver(absl::StrCat("member", i, "@far.example"), "all@here");
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 1);
  deliver("ann@far.example", "");
  deliver("eve@far.example", "All@here");
  EXPECT_EQ(CountsNow("shop.example").sent_recipients, 2);
}

TEST_F(SentRules, OutliveARestartAndAreCleared) {
  for (int i = 0; i < 3; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(1));
  Commit();
  Start();
  EXPECT_EQ(SentBy("ann@shop.example").sent, 3);
  Arrive("m3", absl::Minutes(2));
  Arrive("m4", absl::Minutes(2));
  ASSERT_TRUE(OpenOf("ann@shop.example"));
  EXPECT_THAT(committer_->Unblock({SubjectKind::kLogin, "ann@shop.example"}, "root", ""), IsOk());
  EXPECT_EQ(SentBy("ann@shop.example").sent, 0);
  clock_.Set(At(absl::Minutes(10)));
  for (int i = 5; i < 9; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(10));
  EXPECT_FALSE(OpenOf("ann@shop.example"));
  Arrive("m9", absl::Minutes(10));
  EXPECT_TRUE(OpenOf("ann@shop.example"));
}

TEST_F(SentRules, TheReceiptNamesTheMessages) {
  for (int i = 0; i < 5; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(1));
  const Case open = *OpenOf("ann@shop.example");
  Commit();
  const std::vector<LedgerRow> rows = Rows(Outcome::kQueued);
  ASSERT_FALSE(rows.empty());
  std::unique_ptr<LedgerReader> reader = store_->NewReader();
  absl::StatusOr<Receipt> receipt =
      GatherReceipt(open, rows.front().row, *settings_.policy, reader.get());
  ASSERT_THAT(receipt, IsOk());
  EXPECT_EQ(receipt->total, 5);
  EXPECT_TRUE(receipt->sure) << "a number of messages is no matter of opinion";
}

class SoftLimit : public SentRules {
 protected:
  SoftLimit()
      : SentRules(R"(
profile = "cpanel"
[rule.hourly]
max_sent = 4
cutoff = 150
window = "1h"
block_for = "1h"
action = "reject"
)") {}
};

TEST_F(SoftLimit, HoldsUpToTheCutoffThenRefuses) {
  for (int i = 0; i < 4; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(1));
  ASSERT_TRUE(OpenCase("shop.example"));
  Case open = *OpenCase("shop.example");
  EXPECT_EQ(open.action.For(Source::kSubmission), Verdict::kHold);
  EXPECT_EQ(RefusalText(*settings_.policy, open.ToRefusal(), Verdict::kHold),
            "Domain shop.example has exceeded the max emails per hour (4/4 (100%)) allowed. "
            "Message will be reattempted later.");
  Commit();
  Start();
  Arrive("m5", absl::Minutes(2));
  EXPECT_TRUE(OpenCase("shop.example")->soft);
  Arrive("m6", absl::Minutes(3));
  open = *OpenCase("shop.example");
  EXPECT_FALSE(open.soft);
  EXPECT_EQ(open.action.For(Source::kSubmission), Verdict::kReject);
  EXPECT_EQ(RefusalText(*settings_.policy, open.ToRefusal(), Verdict::kReject),
            "Domain shop.example has exceeded the max emails per hour (6/4 (150%)) allowed. "
            "Message discarded.");
  Commit();
  Start();
  EXPECT_EQ(OpenCase("shop.example")->percent, 150);
}

// The receipt is that of the judgement that the case has now.
TEST_F(SoftLimit, WhatIsRefusedRestsOnTheNewCounts) {
  for (int i = 0; i < 4; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(1));
  Commit();
  committer_->Commit().IgnoreError();  // gathers the receipt
  const std::optional<Receipt> soft = committer_->ReceiptOf(*OpenCase("shop.example"));
  ASSERT_TRUE(soft.has_value());
  for (int i = 4; i < 6; ++i) Arrive(absl::StrCat("m", i), absl::Minutes(2));
  const Case open = *OpenCase("shop.example");
  ASSERT_FALSE(open.soft);
  committer_->Commit().IgnoreError();
  const std::optional<Receipt> receipt = committer_->ReceiptOf(open);
  ASSERT_TRUE(receipt.has_value());
  EXPECT_EQ(receipt->counts, open.counts);
  EXPECT_EQ(receipt->total, 6);
  const std::unique_ptr<LedgerReader> reader = store_->NewReader();
  absl::StatusOr<Verification> verified =
      VerifyReceipt(open, *receipt, *settings_.policy, reader.get());
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(verified->finding, Finding::kConfirmed) << testing::PrintToString(verified->remarks);
}

class SoftLimitThatPassesSome : public SentRules {
 protected:
  SoftLimitThatPassesSome()
      : SentRules(R"(
[rule.hourly]
max_sent = 2
cutoff = 200
action = { submission = "reject", local = "pass", queued = "pass", relay = "discard" }
)") {}
};

TEST_F(SoftLimitThatPassesSome, HoldsNothingThatTheRulePasses) {
  Arrive("m0", absl::Minutes(1));
  Arrive("m1", absl::Minutes(1));
  ASSERT_TRUE(OpenCase("shop.example"));
  Case open = *OpenCase("shop.example");
  ASSERT_TRUE(open.soft);
  EXPECT_EQ(open.action.For(Source::kSubmission), Verdict::kHold);
  EXPECT_EQ(open.action.For(Source::kLocal), Verdict::kPass);
  EXPECT_EQ(open.action.For(Source::kQueued), Verdict::kPass);
  EXPECT_EQ(open.action.For(Source::kRelay), Verdict::kHold);
  Arrive("m2", absl::Minutes(2));
  Arrive("m3", absl::Minutes(2));
  open = *OpenCase("shop.example");
  EXPECT_EQ(open.action, settings_.policy->rules[0].action);
}

// Who may not be blocked is counted and shown all the same.
TEST(SentRulesOf, ExemptSubjectsAreCounted) {
  LimiterFixture f(
      "[rule.hourly]\nmax_sent = 2\n[exempt.shop]\nreason = \"ours\"\ndomains = "
      "[\"shop.example\"]\n",
      At(absl::Minutes(5)));
  for (int i = 0; i < 5; ++i) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kArrived;
    event->attempt.time = At(absl::Minutes(1));
    event->attempt.message = {absl::StrCat("m", i), At(absl::Minutes(1))};
    event->attempt.identity = {.sender = "a@shop.example", .login = "a@shop.example"};
    f.committer_->Record(batch);
  }
  EXPECT_EQ(f.CountsNow("shop.example").sent, 5);
  EXPECT_FALSE(f.OpenCase("shop.example"));
}

TEST(Accepted, ARandomOrderOfQuestionsAndArrivalsCountsEachMessageOnce) {
  std::mt19937 random(7);
  Accepted accepted;
  std::vector<int> counted(300);
  std::vector<bool> arrived(counted.size()), asked(counted.size());
  absl::Time now = kMorning;
  for (int i = 0; i < 3'000; ++i) {
    now += absl::Milliseconds(random() % 500);
    const size_t n = random() % counted.size();
    if (random() % 2 == 0) {
      asked[n] = true;
      counted[n] += accepted.TakeQuestion(absl::StrCat(n), now) ? 1 : 0;
    } else if (!arrived[n]) {
      arrived[n] = true;
      counted[n] += accepted.TakeArrival(absl::StrCat(n), now) ? 1 : 0;
    }
  }
  for (size_t n = 0; n < counted.size(); ++n) {
    EXPECT_EQ(counted[n], arrived[n] || asked[n] ? 1 : 0) << n;
  }
}

}  // namespace
}  // namespace deferd
