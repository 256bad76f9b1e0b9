// Recipients that the mail server refused at RCPT time: whom they are charged to, what rules make
// of them, and that they outlive a restart.

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/evidence/receipt.h"
#include "policy/refusal_text.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr char kPolicy[] = R"(
[rule.guessing]
min_rejected_recipients = 4
percent = 40
window = "1h"
block_for = "1h"
action = "reject"
[rule.ratio]
min_bad = 3
percent = 50
window = "1h"
block_for = "1h"
action = "reject"
)";

constexpr char kUnknown[] = "550 5.1.1 <r@x>: Recipient address rejected: User unknown";

class RejectedRecipients : public testing::Test, protected LimiterFixture {
 protected:
  RejectedRecipients() : LimiterFixture(kPolicy, At(absl::Minutes(5))) {}

  static Identity Login(const std::string& login) { return {.sender = login, .login = login}; }

  void Refuse(const Identity& who, absl::Duration at, const std::string& reply = kUnknown) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kShown;
    event->attempt.time = At(at);
    event->attempt.identity = who;
    event->attempt.recipient = "r@x";
    event->attempt.outcome = Outcome::kRejectedRecipient;
    event->attempt.reply = reply;
    committer_->Record(batch);
  }

  void Commit() { EXPECT_THAT(committer_->Commit(/*durable=*/true), IsOk()); }
};

TEST_F(RejectedRecipients, AreCountedApartFromDeliveries) {
  Refuse(Login("ann@shop.example"), absl::Minutes(1));
  Feed("shop.example", absl::Minutes(2), Outcome::kDelivered);
  const Counts counts = CountsNow("shop.example");
  EXPECT_EQ(counts.rejected, 1);
  EXPECT_EQ(counts.total(), 1);
  EXPECT_EQ(counts.bad(), 0);
  Commit();
  ASSERT_THAT(Rows(Outcome::kRejectedRecipient), testing::SizeIs(1));
  EXPECT_EQ(Rows(Outcome::kRejectedRecipient)[0].subject, "shop.example");
}

TEST_F(RejectedRecipients, OfStrangersAreNobodys) {
  const Identity stranger = {.sender = "ceo@shop.example", .host = "203.0.113.9"};
  for (int i = 0; i < 9; ++i) Refuse(stranger, absl::Minutes(1));
  EXPECT_EQ(CountsNow("shop.example").rejected, 0);
  EXPECT_FALSE(OpenCase("shop.example"));
  Commit();
  EXPECT_THAT(Rows(Outcome::kRejectedRecipient), testing::IsEmpty());
  EXPECT_THAT(Rows(Outcome::kRejected), testing::SizeIs(9));  // shown as before
}

TEST_F(RejectedRecipients, OnlyThoseRefusedBecauseOfTheRecipient) {
  const Identity ann = Login("ann@shop.example");
  for (const char* reply :
       {"554 5.7.1 <r@x>: Relay access denied", "Sending limit exceeded, try again tomorrow",
        "Domain shop.example has exceeded the max defers and failures per hour (5/5 (50%)) "
        "allowed. Message rejected, try again after 10:15 UTC.",
        "550 5.7.1 Domain shop.example has exceeded the max rejected recipients per hour (4/4 "
        "(80%)) allowed. Message discarded."}) {
    Refuse(ann, absl::Minutes(1), reply);
    EXPECT_EQ(CountsNow("shop.example").rejected, 0) << reply;
  }
  for (const char* reply : {"Unrouteable address", "Unknown user", "no such user here",
                            "550 5.1.0 <r@x>: Recipient address rejected: undeliverable address: "
                            "host mx.x[192.0.2.1] said: 550 5.1.1 User unknown"}) {
    const int64_t before = CountsNow("shop.example").rejected;
    Refuse(ann, absl::Minutes(1), reply);
    EXPECT_EQ(CountsNow("shop.example").rejected, before + 1) << reply;
  }
}

TEST_F(RejectedRecipients, OpenACaseByTheirRuleAlone) {
  for (int i = 0; i < 4; ++i) Feed("shop.example", absl::Minutes(1), Outcome::kDelivered);
  for (int i = 0; i < 3; ++i) Refuse(Login("ann@shop.example"), absl::Minutes(2));
  EXPECT_FALSE(OpenCase("shop.example"));
  Refuse(Login("ann@shop.example"), absl::Minutes(3));
  const std::optional<Case> open = OpenCase("shop.example");
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->rule, "guessing");
  EXPECT_EQ(open->bad(), 4);
  EXPECT_EQ(open->percent, 50);  // of eight recipients
  EXPECT_THAT(RefusalText(*settings_.policy, open->ToRefusal(), Verdict::kReject),
              HasSubstr("has exceeded the max rejected recipients per hour (4/4 (50%)) allowed."));

  // Nothing bad in the other sense, however many there are.
  Feed("other.example", absl::Minutes(3), Outcome::kFailed);
  Feed("other.example", absl::Minutes(3), Outcome::kFailed);
  Refuse(Login("eve@other.example"), absl::Minutes(3));
  EXPECT_FALSE(OpenCase("other.example"));
}

TEST_F(RejectedRecipients, OutliveARestart) {
  for (int i = 0; i < 3; ++i) Refuse(Login("ann@shop.example"), absl::Minutes(2));
  Commit();
  Start();
  EXPECT_EQ(CountsNow("shop.example").rejected, 3);
  Refuse(Login("ann@shop.example"), absl::Minutes(3));
  Commit();
  Start();
  const std::optional<Case> open = OpenCase("shop.example");
  ASSERT_TRUE(open.has_value());
  EXPECT_TRUE(open->measure.rejected());
  EXPECT_EQ(open->counts.rejected, 4);
}

TEST_F(RejectedRecipients, AreCountedAgainOutOfTheLedger) {
  Feed("shop.example", absl::Minutes(1), Outcome::kDelivered);
  for (int i = 0; i < 4; ++i) Refuse(Login("ann@shop.example"), absl::Minutes(2));
  const std::optional<Case> open = OpenCase("shop.example");
  ASSERT_TRUE(open.has_value());
  Commit();
  const std::vector<LedgerRow> rows = Rows(Outcome::kRejectedRecipient);
  ASSERT_THAT(rows, testing::SizeIs(4));
  std::unique_ptr<LedgerReader> reader = store_->NewReader();
  absl::StatusOr<Receipt> receipt =
      GatherReceipt(*open, rows[0].row, *settings_.policy, reader.get());
  ASSERT_THAT(receipt, IsOk());
  EXPECT_EQ(receipt->recounted, open->counts);
  EXPECT_EQ(receipt->total, 4);
  absl::StatusOr<Verification> verified =
      VerifyReceipt(*open, *receipt, *settings_.policy, reader.get());
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(verified->finding, Finding::kConfirmed) << testing::PrintToString(verified->remarks);
}

TEST_F(RejectedRecipients, LateOnesAreShownAlone) {
  clock_.Set(At(absl::Minutes(95)));
  Feed("shop.example", absl::Minutes(90), Outcome::kDelivered);
  Refuse(Login("ann@shop.example"), absl::Minutes(2));
  EXPECT_EQ(CountsNow("shop.example").rejected, 0);
  EXPECT_EQ(observer_.left_out_.back(), LeftOut::kLate);
}

}  // namespace
}  // namespace deferd
