// Evidence: counted again it gives the same, and what was done to it is found.

#include "limiter/evidence/receipt.h"

#include <sqlite3.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/evidence/recount.h"
#include "limiter/store/receipt_codec.h"
#include "limiter/store/sqlite_store.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/store/store_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Minutes;
using absl::Seconds;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// One message to accomplices, and refusals of others.
TEST(Recount, KnowsWhatDoesNotDilute) {
  for (const char* count : {"once", "attempts"}) {
    LimiterFixture f(
        absl::StrCat("count = \"", count, "\"\n[rule.r]\nmin_bad = 60\npercent = 50\n"),
        At(absl::Hours(3)));
    auto send = [&](int i, absl::Duration at) {
      Attempt attempt = LimiterFixture::MakeAttempt("a.example", At(at), Outcome::kDelivered, "big",
                                                    absl::StrCat("r", i, "@pal.example"));
      attempt.host_ip = "192.0.2.9";
      f.Feed(attempt);
    };
    // Half of it before the window, which a restart divides too.
    for (int i = 0; i < 30; ++i) send(i, Minutes(1));
    ASSERT_THAT(f.committer_->Commit(), IsOk());
    f.Start();
    for (int i = 30; i < 900; ++i) send(i, Minutes(150));
    EXPECT_EQ(f.CountsNow("a.example"), (Counts{.delivered = 870, .surplus = 850})) << count;
    for (int i = 0; i < 60; ++i) f.Feed("a.example", Minutes(151), Outcome::kFailed);
    const std::optional<Case> opened = f.OpenCase("a.example");
    ASSERT_TRUE(opened.has_value()) << count;
    EXPECT_EQ(opened->percent, 75);
    ASSERT_THAT(f.committer_->Commit(), IsOk());
    std::optional<Receipt> receipt = f.committer_->ReceiptOf(*opened);
    ASSERT_TRUE(receipt.has_value());
    EXPECT_TRUE(receipt->complete);
    EXPECT_EQ(receipt->counts, (Counts{.delivered = 870, .failed = 60, .surplus = 850}));
    EXPECT_EQ(receipt->recounted, opened->counts) << count;
    absl::StatusOr<Verification> verified =
        VerifyReceipt(*opened, *receipt, *f.settings_.policy, f.store_->NewReader().get());
    ASSERT_THAT(verified, IsOk());
    EXPECT_EQ(verified->finding, Finding::kConfirmed) << count;
  }
}

// The oracle: whatever came, in whatever order, the ledger leads to the counts that the limiter
// had when it opened the case.
TEST(Recount, ComesToTheLimitersCounts) {
  int cases = 0;
  for (unsigned seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    LimiterFixture f(absl::StrCat(seed % 3 == 0 ? "count = \"attempts\"\n" : "",
                                  "[rule.r]\nmin_bad = 5\npercent = 30\nwindow = \"10m\"\n"
                                  "block_for = \"3m\"\n",
                                  seed % 2 == 0 ? "[rule.l]\nmin_bad = 4\npercent = 30\n"
                                                  "window = \"5m\"\nkind = \"login\"\n"
                                                : ""),
                     At(absl::Hours(5)));
    absl::Duration now = Minutes(3);
    std::vector<std::string> checked;
    for (int i = 0; i < 600; ++i) {
      now += Seconds(below(8));
      absl::Duration at = now;
      if (below(10) == 0) at -= Seconds(below(120));  // read late
      const Outcome outcome = std::vector<Outcome>{Outcome::kDelivered, Outcome::kDelivered,
                                                   Outcome::kDeferred, Outcome::kFailed}[below(4)];
      const int message = below(40);
      Attempt attempt = LimiterFixture::MakeAttempt("any", At(at), outcome);
      attempt.message = {absl::StrCat("m", message), kMorning};
      attempt.identity.login = absl::StrCat("u", message % 5, "@d", message % 2, ".example");
      attempt.recipient = absl::StrCat("r", below(2), "@x");
      if (below(8) == 0) attempt.reply = "451 4.7.1 Greylisted, try again later";
      f.Feed(attempt);
      if (below(4) != 0) continue;
      ASSERT_THAT(f.committer_->Commit(), IsOk());
    }
    ASSERT_THAT(f.committer_->Commit(), IsOk());
    while (f.committer_->ReceiptsDue() > 0) {
      f.Feed("other.example", now, Outcome::kDelivered);
      ASSERT_THAT(f.committer_->Commit(), IsOk());
    }
    std::vector<Case> all = f.cases_->Open();
    for (const Case& closed : f.cases_->Closed(1000)) all.push_back(closed);
    const std::unique_ptr<LedgerReader> ledger = f.store_->NewReader();
    for (const Case& record : all) {
      ++cases;
      std::optional<Receipt> receipt = f.committer_->ReceiptOf(record);
      ASSERT_TRUE(receipt.has_value()) << record.id;
      EXPECT_TRUE(receipt->complete);
      EXPECT_EQ(receipt->recounted, record.counts)
          << "seed " << seed << ", " << record.id << " " << record.subject.ToString();
      absl::StatusOr<Verification> verified =
          VerifyReceipt(record, *receipt, *f.settings_.policy, ledger.get());
      ASSERT_THAT(verified, IsOk());
      EXPECT_EQ(verified->finding, Finding::kConfirmed);
      EXPECT_THAT(verified->remarks, IsEmpty());
    }
  }
  EXPECT_GT(cases, 60);
}

constexpr char kPolicy[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";

// A block in a real database, which somebody may work on.
class TamperTest : public testing::Test {
 protected:
  void Start(int failures = 4) {
    absl::StatusOr<std::unique_ptr<LocalStore>> store =
        OpenSqliteStore(folder_.File("state.db"), "0badcafe", {});
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    limiter_ = std::make_unique<Limiter>(LimiterOptions{.node = "0badcafe", .keep = true},
                                         Settings{policy_, std::make_shared<ChargeLists>()},
                                         &clock_, &cases_);
    committer_ =
        std::make_unique<Committer>(CommitterOptions{}, limiter_.get(), store_.get(), &clock_);
    ASSERT_THAT(committer_->Load(), IsOk());
    Feed(Outcome::kDelivered, 0);
    for (int i = 1; i <= failures; ++i) Feed(Outcome::kFailed, i);
    ASSERT_THAT(committer_->Commit(), IsOk());
    record_ = *cases_.FindOpen({SubjectKind::kDomain, "a.example"}, false);
    receipt_ = committer_->ReceiptOf(record_);
    ASSERT_TRUE(receipt_.has_value());
  }
  void Feed(Outcome outcome, int number) {
    Attempt attempt = LimiterFixture::MakeAttempt("a.example", At(Seconds(20 * number)), outcome,
                                                  absl::StrCat("m", number));
    attempt.reply = outcome == Outcome::kFailed ? "550 5.1.1 No such user here" : "250 ok";
    EventBatch batch;
    *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
    committer_->Record(batch);
  }

  void Sql(const std::string& text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(folder_.File("state.db").c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(db);
  }
  Verification Verify() {
    const std::unique_ptr<LedgerReader> ledger = store_->NewReader();
    absl::StatusOr<Verification> verified =
        VerifyReceipt(record_, *receipt_, *policy_, ledger.get());
    EXPECT_THAT(verified, IsOk());
    return verified.value_or(Verification());
  }

  const TempFolder folder_;
  ManualClock clock_{At(Minutes(30))};
  std::shared_ptr<const Policy> policy_ = LimiterFixture::ParsedPolicy(kPolicy);
  std::unique_ptr<LocalStore> store_;
  CaseTable cases_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Committer> committer_;
  Case record_;
  std::optional<Receipt> receipt_;
};

// Four bad ones of five trip the rule; so many must be sure.
TEST_F(TamperTest, OnlyAnswersThatAreSureMakeItSure) {
  const std::string kGuess = "550 hrm wotsit hrm";
  ASSERT_TRUE(policy_->CountsAnswer(policy_->replies().Classify(kGuess), true));
  Start();
  EXPECT_TRUE(receipt_->sure);
  EXPECT_TRUE(ParseReceipt(ReceiptText(*receipt_))->sure);
  Sql("UPDATE ledger_1 SET reply = '" + kGuess + "' WHERE reply LIKE '550%'");
  absl::StatusOr<Receipt> again =
      GatherReceipt(record_, receipt_->tripping_row, *policy_, store_->NewReader().get());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->total, receipt_->total);
  EXPECT_FALSE(again->sure);
}

TEST_F(TamperTest, WhatNobodyTouchedIsConfirmed) {
  Start();
  const Verification verified = Verify();
  EXPECT_EQ(verified.finding, Finding::kConfirmed);
  EXPECT_EQ(verified.recounted, record_.counts);
}

TEST_F(TamperTest, AChangedRowIsFound) {
  Start();
  Sql("UPDATE ledger_1 SET reply = '250 fine' WHERE message_id = 'm2'");
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("the attempt of m2")));
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("was changed")));
}

TEST_F(TamperTest, AMissingRowIsFound) {
  Start();
  Sql("DELETE FROM ledger_1 WHERE message_id = 'm2'");
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("is missing")));
}

TEST_F(TamperTest, AMissingDeliveryIsFound) {
  Start();
  Sql("DELETE FROM ledger_1 WHERE message_id = 'm0'");
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("the ledger counts to 0 delivered")));
}

TEST_F(TamperTest, AnAddedRowIsFound) {
  Start();
  // Of one more than the receipt knows of.
  receipt_->rows.pop_back();
  --receipt_->total;
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("was added")));
}

TEST_F(TamperTest, AChangedRuleIsFound) {
  Start();
  record_.min_bad = 2;
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("not the one in its receipt")));
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
}

TEST_F(TamperTest, ARuleThatThePolicyDoesNotHaveIsFound) {
  Start();
  record_.rule = receipt_->rule = "other";
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("is not in the policy that it names")));
  record_.rule = receipt_->rule = "r";
  record_.percent_limit = receipt_->percent_limit = 40;
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("has other limits")));
  // Another policy says nothing about it.
  record_.policy_hash = receipt_->policy_hash = "0123456789abcdef";
  EXPECT_EQ(Verify().finding, Finding::kConfirmed);
}

TEST_F(TamperTest, ChangedCountsAreFound) {
  Start();
  record_.counts.failed = 9;
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
  receipt_->counts.failed = 9;
  receipt_->percent = record_.percent = 90;
  EXPECT_NE(Verify().finding, Finding::kConfirmed) << "the ledger has less";
  record_.counts.failed = receipt_->counts.failed = 1;
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("do not reach")));
}

TEST_F(TamperTest, RowsBeyondThoseInTheReceiptAreKnownByDigest) {
  policy_ = LimiterFixture::ParsedPolicy("[rule.r]\nmin_bad = 60\npercent = 50\n");
  Start(60);
  ASSERT_EQ(receipt_->rows.size(), Receipt::kMaxRows);
  ASSERT_EQ(receipt_->total, 60);
  EXPECT_EQ(Verify().finding, Finding::kConfirmed);
  Sql("UPDATE ledger_1 SET recipient = 'someone@else' WHERE message_id = 'm3'");
  EXPECT_EQ(Verify().finding, Finding::kContradicted);
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("by their digest")));
  Sql("DELETE FROM ledger_1 WHERE message_id = 'm3'");
  EXPECT_THAT(Verify().remarks, Contains(HasSubstr("the receipt was made of 60")));
}

TEST_F(TamperTest, WhatTheRetentionDroppedIsIncompleteAndNoContradiction) {
  Start();
  Sql("UPDATE ledger_segment SET number = 2; ALTER TABLE ledger_1 RENAME TO ledger_2;"
      "ALTER TABLE ledger_index_1 RENAME TO ledger_index_2; UPDATE ledger_run SET segment = 2;"
      "DELETE FROM ledger_2 WHERE message_id IN ('m0', 'm1');"
      "UPDATE ledger_segment SET first_row = (SELECT min(row) FROM ledger_2)");
  const Verification verified = Verify();
  EXPECT_EQ(verified.finding, Finding::kIncomplete);
  EXPECT_THAT(verified.remarks, Contains(HasSubstr("the ledger begins after")));
}

}  // namespace
}  // namespace deferd
