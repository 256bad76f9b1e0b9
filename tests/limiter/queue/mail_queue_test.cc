#include "limiter/queue/mail_queue.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/queue/queue_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

class MailQueueTest : public QueueFixture {
 protected:
  std::vector<QueuedMail> List() {
    const auto listed = mail_queue_.List();
    EXPECT_THAT(listed, IsOk());
    return listed.ok() ? *listed : std::vector<QueuedMail>();
  }

  // A receipt whose attempts had answers of these classes; "" where the class is not known.
  void Receipt(const std::vector<std::string>& classes,
               const std::vector<std::string>& of_other_nodes = {}) {
    receipt_.emplace();
    for (const std::string& one : classes) receipt_->rows.emplace_back().reply_class = one;
    for (const std::string& one : of_other_nodes) receipt_->others.emplace_back().reply_class = one;
  }
  std::optional<std::string> Grave() const { return mail_queue_.GraveOf(Case()); }
};

TEST_F(MailQueueTest, JoinsTheListingWithTheLog) {
  Queue("A1", "bob@shop.example");
  Queue("A2", "");
  const std::vector<QueuedMail> mails = List();
  ASSERT_EQ(mails.size(), 2u);
  EXPECT_EQ(mails[0].arrival, kMorning);
  ASSERT_FALSE(mails[0].charged.empty());
  EXPECT_EQ(mails[0].charged.back().subject.ToString(), "shop.example");
  EXPECT_EQ(mails[1].arrival, absl::InfinitePast()) << "the log does not know it";
  EXPECT_THAT(mails[1].charged, IsEmpty());
}

TEST_F(MailQueueTest, TheNewestArrivalOfAReusedIdIsTheMessage) {
  Queue("A1", "");
  Arrived("A1", {.sender = "eve@old.example", .login = "eve@old.example"}, -absl::Hours(30),
          "mainlog.1");
  Arrived("A1", {.sender = "bob@new.example", .login = "bob@new.example"});
  const std::vector<QueuedMail> mails = List();
  ASSERT_EQ(mails.size(), 1u);
  EXPECT_EQ(mails[0].identity.login, "bob@new.example");
}

TEST_F(MailQueueTest, AnUnreachableHelperIsAnError) {
  SetAway(true);
  EXPECT_THAT(mail_queue_.List().status().message(), HasSubstr("away"));
}

TEST_F(MailQueueTest, TheOutcomeIsEachRecipientsNewestOne) {
  Logged("A1", Outcome::kDeferred, "ann@far.example");
  Logged("A1", Outcome::kDelivered, "ann@far.example");
  Logged("A1", Outcome::kExpired, "joe@far.example");
  Logged("A2", Outcome::kDeferred, "ann@far.example", "greylisted", LeftOut::kReplyClass);
  Logged("A3", Outcome::kFailed, "ann@far.example");
  const std::optional<PortionOutcome> outcome = mail_queue_.OutcomeOf({"A1", "A2", "A4"}, kMorning);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->counts, (Counts{.delivered = 1, .failed = 1}));
  EXPECT_EQ(outcome->messages, 1) << "what is left out tells nothing, and A4 has not been tried";
}

TEST_F(MailQueueTest, OutcomesBeforeTheReleaseDoNotCount) {
  Logged("A1", Outcome::kFailed, "ann@far.example");
  const auto outcome = mail_queue_.OutcomeOf({"A1"}, At(absl::Minutes(1)));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->messages, 0);
}

// Held mail is released without a person only if this is an empty text.
TEST_F(MailQueueTest, WithoutAnyEvidenceNothingIsKnown) {
  EXPECT_EQ(Grave(), std::nullopt) << "no receipt";
  Receipt({});
  EXPECT_EQ(Grave(), std::nullopt) << "a receipt without attempts";
}

TEST_F(MailQueueTest, HarmlessAnswersAreNotGrave) {
  Receipt({"mailbox_full", "mailbox_full", "dns_routing", "content"});
  EXPECT_THAT(Grave(), Optional(std::string()));
}

TEST_F(MailQueueTest, TheMostFrequentClassDecides) {
  for (const char* grave : {"content", "reputation", "invalid_recipient"}) {
    Receipt({grave, grave, "mailbox_full", "dns_routing", ""});
    EXPECT_THAT(Grave(), Optional(HasSubstr(grave)));
  }
}

TEST_F(MailQueueTest, InATieTheSeriousClassDecides) {
  Receipt({"mailbox_full", "content", "mailbox_full", "content"});
  EXPECT_THAT(Grave(), Optional(HasSubstr("class content")));
}

TEST_F(MailQueueTest, HalfOfTheAnswersIsGraveWhateverTheirClasses) {
  Receipt({"mailbox_full", "mailbox_full", "mailbox_full", "content", "reputation",
           "invalid_recipient"});
  EXPECT_THAT(Grave(), Optional(HasSubstr("3 of 6")));
  receipt_->rows.emplace_back().reply_class = "mailbox_full";
  EXPECT_THAT(Grave(), Optional(std::string()));
}

TEST_F(MailQueueTest, OtherNodesAttemptsAreEvidenceToo) {
  Receipt({"mailbox_full"}, {"content", "content"});
  EXPECT_THAT(Grave(), Optional(HasSubstr("class content")));
}

TEST_F(MailQueueTest, TheScriptIsTheClaimedOneElseTheLocalUser) {
  QueuedMail mail;
  mail.id = "A1";
  mail.identity.user = "web";
  EXPECT_EQ(mail_queue_.ScriptOf(mail), "web");
  Logged("A1", Outcome::kQueued, "",
         "claimed: user=web cwd=\"/srv script=fake.php\" script=\"33:/srv/form.php\"");
  EXPECT_EQ(mail_queue_.ScriptOf(mail), "33:/srv/form.php");
  mail.id = "A2";
  Logged("A2", Outcome::kQueued, "", "no claim: script=other.php");
  EXPECT_EQ(mail_queue_.ScriptOf(mail), "web");
}

TEST_F(MailQueueTest, TheSubjectLineIsTheLedgers) {
  QueuedMail mail;
  mail.id = "A1";
  EXPECT_EQ(mail_queue_.SubjectLineOf(mail), "");
  Logged("A1", Outcome::kQueued, "", "", LeftOut::kCounts, "Invoice 7");
  EXPECT_EQ(mail_queue_.SubjectLineOf(mail), "Invoice 7");
}

TEST_F(MailQueueTest, RecordsWhatWasDoneToEachMessage) {
  mail_queue_.Record({}, Outcome::kHeld, "held");
  EXPECT_THAT(Recorded(), IsEmpty());
  mail_queue_.Record({QueuedMail{.id = "A1"}, QueuedMail{.id = "A2"}}, Outcome::kHeld, "held");
  EXPECT_THAT(Recorded(), ElementsAre("A1 held: held", "A2 held: held"));
}

}  // namespace
}  // namespace deferd
