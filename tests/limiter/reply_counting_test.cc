// Which answers count, and how what is left out is shown.

#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Hours;
using absl::Minutes;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr char kThreeBadHalf[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";
constexpr char kGreylisted[] = "451 4.7.1 Greylisted, please try again in 300 seconds";
constexpr char kFull[] = "452 4.2.2 The recipient's mailbox is full";
constexpr char kUnknownUser[] = "550 5.1.1 No such user here";
constexpr char kIpListed[] =
    "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org";

class ReplyCounting : public testing::Test {
 protected:
  void Start(const std::string& policy) {
    f_ = std::make_unique<LimiterFixture>(policy, At(Hours(1)));
  }

  void Feed(absl::Duration at, Outcome outcome, const std::string& reply,
            const std::string& message = "", const std::string& recipient = "r@x") {
    Attempt attempt = LimiterFixture::MakeAttempt("a.example", At(at), outcome, message, recipient);
    attempt.reply = reply;
    f_->Feed(attempt);
  }
  void FeedExpiry(absl::Duration at, const std::string& message) {
    Attempt attempt = LimiterFixture::MakeAttempt("a.example", At(at), Outcome::kFailed, message);
    attempt.reply = "retry timeout exceeded";
    attempt.remote = false;
    attempt.bare_expiry = true;
    f_->Feed(attempt);
  }

  SubjectReport Report() { return f_->limiter_->Report({SubjectKind::kDomain, "a.example"}); }

  std::unique_ptr<LimiterFixture> f_;
};

TEST_F(ReplyCounting, GreylistingAndFullMailboxesAreLeftOutAndShown) {
  Start(kThreeBadHalf);
  for (int i = 0; i < 9; ++i) Feed(Minutes(20 + i), Outcome::kDeferred, kGreylisted);
  for (int i = 0; i < 3; ++i) Feed(Minutes(30 + i), Outcome::kDeferred, kFull);
  EXPECT_EQ(Report().counts, Counts{});
  EXPECT_FALSE(f_->OpenCase("a.example").has_value());
  EXPECT_THAT(Report().left_out,
              ElementsAre(Pair(ReplyClass::kGreylisting, 9), Pair(ReplyClass::kMailboxFull, 3)));
  EXPECT_EQ(f_->observer_.left_out_.back(), LeftOut::kReplyClass);
}

TEST_F(ReplyCounting, AFailureOfTheSameClassCounts) {
  Start(kThreeBadHalf);
  Feed(Minutes(20), Outcome::kFailed, "552 5.2.2 The recipient's mailbox is full");
  EXPECT_EQ(Report().counts, (Counts{.failed = 1}));
  EXPECT_THAT(Report().left_out, IsEmpty());
}

TEST_F(ReplyCounting, WhatOurOwnConfigurationRefusesCountsForNobody) {
  Start(kThreeBadHalf);
  const char* const kOwn[] = {"Mailing to remote domains not supported", "relay not permitted",
                              "mail transport unavailable",
                              "lookup of host \"smart.example\" failed in smarthost router"};
  for (const char* reply : kOwn) {
    for (Outcome outcome : {Outcome::kFailed, Outcome::kDeferred}) {
      Attempt attempt =
          LimiterFixture::MakeAttempt("a.example", At(Minutes(20)), outcome, "", "r@far.example");
      attempt.reply = reply;
      attempt.remote = false;
      f_->Feed(attempt);
      EXPECT_EQ(Report().counts, Counts{}) << reply;
    }
  }
  EXPECT_THAT(Report().left_out, ElementsAre(Pair(ReplyClass::kLocal, 8)));
  Feed(Minutes(21), Outcome::kFailed, "550 relay not permitted", "", "r@far.example");
  EXPECT_EQ(Report().counts, (Counts{.failed = 1})) << "a server said so";
}

TEST_F(ReplyCounting, LeftOutCountsAreInNoShare) {
  Start(kThreeBadHalf);
  for (int i = 0; i < 3; ++i) Feed(Minutes(20), Outcome::kFailed, kUnknownUser);
  for (int i = 0; i < 50; ++i) Feed(Minutes(21), Outcome::kDeferred, kGreylisted);
  EXPECT_EQ(Report().counts, (Counts{.failed = 3}));
  EXPECT_EQ(Report().counts.percent(), 100);
}

TEST_F(ReplyCounting, RetriesThatAreLeftOutAreShownOnce) {
  Start(kThreeBadHalf);
  for (int i = 0; i < 5; ++i) Feed(Minutes(20 + i), Outcome::kDeferred, kGreylisted, "m");
  EXPECT_THAT(Report().left_out, ElementsAre(Pair(ReplyClass::kGreylisting, 1)));
}

TEST_F(ReplyCounting, WhenAttemptsCountEachRetryIsShown) {
  Start(std::string("count = \"attempts\"\n") + kThreeBadHalf);
  for (int i = 0; i < 5; ++i) Feed(Minutes(20 + i), Outcome::kDeferred, kGreylisted, "m");
  EXPECT_THAT(Report().left_out, ElementsAre(Pair(ReplyClass::kGreylisting, 5)));
}

TEST_F(ReplyCounting, ALeftOutAnswerChangesNoEarlierContribution) {
  Start(kThreeBadHalf);
  Feed(Minutes(20), Outcome::kDeferred, "450 4.1.1 User unknown", "m");
  Feed(Minutes(21), Outcome::kDeferred, kFull, "m");
  EXPECT_EQ(Report().counts, (Counts{.deferred = 1}));
}

TEST_F(ReplyCounting, LeftOutCountsLeaveWithTheWindow) {
  Start(kThreeBadHalf);
  Feed(Minutes(0), Outcome::kDeferred, kGreylisted);
  f_->clock_.Set(At(Minutes(58)));
  EXPECT_EQ(Report().left_out.size(), 1u);
  f_->clock_.Set(At(Minutes(61)));
  EXPECT_THAT(Report().left_out, IsEmpty());
}

TEST_F(ReplyCounting, LeftOutCountsOutliveARestart) {
  Start(kThreeBadHalf);
  Feed(Minutes(20), Outcome::kDeferred, kGreylisted, "m");
  Feed(Minutes(21), Outcome::kDeferred, kFull);
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  f_->Start();
  Feed(Minutes(22), Outcome::kDeferred, kGreylisted, "m");  // known already
  EXPECT_THAT(Report().left_out,
              ElementsAre(Pair(ReplyClass::kMailboxFull, 1), Pair(ReplyClass::kGreylisting, 1)));
}

TEST_F(ReplyCounting, WhenTheWindowIsOverTheStoreForgetsToo) {
  Start(kThreeBadHalf);
  Feed(Minutes(1), Outcome::kDeferred, kGreylisted);
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  f_->clock_.Set(At(Hours(5)));
  for (int hour : {2, 4}) {  // time passes, and the dead are swept
    f_->Feed("other.example", Hours(hour), Outcome::kDelivered);
  }
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  f_->Start();
  EXPECT_THAT(Report().left_out, IsEmpty());
}

TEST_F(ReplyCounting, AnAnswerAboutOurIpIsNoneOfTheDomains) {
  Start(kThreeBadHalf);
  for (int i = 0; i < 5; ++i) Feed(Minutes(20), Outcome::kFailed, kIpListed);
  EXPECT_EQ(Report().counts, Counts{});
  EXPECT_EQ(f_->observer_.left_out_.back(), LeftOut::kIncident);
  EXPECT_THAT(Report().left_out, ElementsAre(Pair(ReplyClass::kReputation, 5)));
}

TEST_F(ReplyCounting, ProfileCpanelCountsEveryClass) {
  Start(std::string("profile = \"cpanel\"\n") + kThreeBadHalf);
  Feed(Minutes(20), Outcome::kDeferred, kGreylisted);
  Feed(Minutes(20), Outcome::kDeferred, kFull);
  Feed(Minutes(20), Outcome::kFailed, kIpListed);
  EXPECT_EQ(Report().counts, (Counts{.deferred = 2, .failed = 1}));
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
}

TEST_F(ReplyCounting, ThePolicyChoosesForEachClass) {
  Start(std::string(kThreeBadHalf) +
        "[classes]\ngreylisting = \"counts\"\ninvalid_recipient = \"left_out\"\n"
        "mailbox_full = { failed = \"left_out\" }\nreputation = \"counts\"\n");
  Feed(Minutes(20), Outcome::kDeferred, kGreylisted);
  EXPECT_EQ(Report().counts, (Counts{.deferred = 1}));
  Feed(Minutes(20), Outcome::kFailed, kUnknownUser);
  Feed(Minutes(20), Outcome::kFailed, "552 5.2.2 mailbox full");
  Feed(Minutes(20), Outcome::kDeferred, kFull);  // as by default
  EXPECT_EQ(Report().counts, (Counts{.deferred = 1}));
  Feed(Minutes(20), Outcome::kFailed, kIpListed);
  EXPECT_EQ(Report().counts, (Counts{.deferred = 1, .failed = 1}));
}

TEST_F(ReplyCounting, AnOwnPatternComesFirst) {
  Start(std::string(kThreeBadHalf) +
        "[reply.partner]\npattern = 'PARTNER.+closed'\nclass = \"greylisting\"\n");
  Feed(Minutes(20), Outcome::kDeferred, "450 4.1.1 User unknown: Partner gateway closed");
  EXPECT_EQ(Report().counts, Counts{});
  EXPECT_THAT(Report().left_out, ElementsAre(Pair(ReplyClass::kGreylisting, 1)));
}

TEST_F(ReplyCounting, ABareExpiryMeansWhatTheLastDeferralDid) {
  Start(std::string(kThreeBadHalf) + "[classes]\nmailbox_full = \"left_out\"\n");
  Feed(Minutes(20), Outcome::kDeferred, kFull, "full");
  FeedExpiry(Minutes(30), "full");
  EXPECT_EQ(Report().counts, Counts{});
  Feed(Minutes(20), Outcome::kDeferred, kGreylisted, "grey");
  FeedExpiry(Minutes(30), "grey");  // a failure of that class counts
  EXPECT_EQ(Report().counts, (Counts{.failed = 1}));
}

TEST_F(ReplyCounting, TheLedgerKnowsTheClass) {
  Start(kThreeBadHalf);
  Feed(Minutes(20), Outcome::kDeferred, kGreylisted);
  Feed(Minutes(21), Outcome::kDelivered, "250 ok");
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  absl::StatusOr<LedgerPage> page = f_->store_->NewReader()->Search({});
  ASSERT_THAT(page, IsOk());
  ASSERT_EQ(page->rows.size(), 2u);
  EXPECT_EQ(page->rows[0].reply_class, "");
  EXPECT_EQ(page->rows[1].reply_class, "greylisting");
  EXPECT_EQ(page->rows[1].left_out, LeftOut::kReplyClass);
}

}  // namespace
}  // namespace deferd
