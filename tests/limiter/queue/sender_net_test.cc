#include "limiter/queue/sender_net.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

constexpr char kDeferredText[] =
    "Domain bad.example has exceeded the max defers and failures per hour (5/5 (14%)) allowed. "
    "Message held until it recovers.";

class SenderNetTest : public testing::Test {
 protected:
  SenderNetTest() { freshness_.Set({}, kMorning); }

  void Policy(const std::string& toml) {
    settings_.policy = LimiterFixture::ParsedPolicy(toml);
    gate_.SetSettings(settings_);
  }
  void Block(const Subject& subject, bool shadow = false) {
    Case& record = blocked_[subject.id];
    record.id = absl::StrCat("n-1-", ++number_);
    record.subject = subject;
    record.shadow = shadow;
    record.since = kMorning;
    record.until = kMorning + absl::Hours(10);
    if (!settings_.policy->rules.empty()) record.action = settings_.policy->rules.front().action;
    record.counts = {.delivered = 31, .failed = 5};
    record.min_bad = 5;
    record.percent = 14;
    cases_.Put(CaseChange::kOpened, kMorning, record);
  }
  void Block(const std::string& domain) { Block({SubjectKind::kDomain, domain}); }
  void Unblock(const std::string& domain) {
    Case record = blocked_[domain];
    record.state = CaseState::kClosed;
    record.closed_at = clock_.Now();
    cases_.Put(CaseChange::kEnded, clock_.Now(), record);
  }

  // A message of `sender` whose login is the same.
  QueuedMail& Queue(const std::string& id, const std::string& sender,
                    const std::string& problem = kDeferredText) {
    QueuedMail& mail = queue_.emplace_back();
    mail.id = id;
    mail.sender = sender;
    mail.problem = problem;
    mail.identity = {.sender = sender, .login = sender, .host = "192.0.2.1"};
    mail.charged = Charge(*settings_.lists, mail.identity, "");
    return mail;
  }
  NetOrders Look(absl::Duration later = absl::ZeroDuration()) {
    clock_.Advance(later);
    NetOrders orders = net_.Decide(queue_, *settings_.lists, clock_.Now());
    if (writes_) net_.Written(orders, clock_.Now());
    return orders;
  }

  ManualClock clock_{kMorning + absl::Minutes(1)};
  Settings settings_{LimiterFixture::ParsedPolicy(""), std::make_shared<ChargeLists>()};
  CaseTable cases_;
  HeldMail held_;
  Freshness freshness_{kMorning};
  Gate gate_{&cases_, &freshness_, &clock_, settings_, &held_};
  SenderNet net_{&gate_, &cases_, &held_};
  std::map<std::string, Case> blocked_;
  std::vector<QueuedMail> queue_;
  int number_ = 0;
  bool writes_ = true;  // the table is written as ordered
};

TEST_F(SenderNetTest, DefersTheDomainsWhoseQueuedMailIsHeld) {
  EXPECT_THAT(Look().domains, IsEmpty());
  Block("bad.example");
  Block({SubjectKind::kLogin, "bob@other.example"});
  Block({SubjectKind::kDomain, "watched.example"}, /*shadow=*/true);
  EXPECT_THAT(Look().domains, ElementsAre(Pair("bad.example", kDeferredText)));
  Unblock("bad.example");
  EXPECT_THAT(Look().domains, IsEmpty());
}

// sendmail(1) without -f: the sender is the user's own address at this host.
TEST_F(SenderNetTest, DefersTheOwnAddressesOfUsersOfOneBlockedDomain) {
  auto lists = std::make_shared<ChargeLists>();
  ASSERT_TRUE(ReadMap("bad.example: web\nbad.example: Shop\nother.example: web2\n"
                      "bad.example: agency\nother.example: agency\nBAD.example: web\n",
                      "userdomains", /*swap=*/true, &lists->users, &lists->users_of_several)
                  .ok());
  settings_.lists = lists;
  gate_.SetSettings(settings_);
  EXPECT_THAT(Look().users, IsEmpty());
  Block("bad.example");
  EXPECT_THAT(Look().users, ElementsAre(Pair("shop", kDeferredText), Pair("web", kDeferredText)))
      << "agency sends for another too";
  Queue("A1", "Web@mx.example");
  EXPECT_THAT(Look().retry, IsEmpty());
  Unblock("bad.example");
  EXPECT_THAT(Look().users, IsEmpty());
  EXPECT_THAT(Look(SenderNet::kNoticed - absl::Seconds(1)).retry, IsEmpty());
  EXPECT_THAT(Look(absl::Seconds(1)).retry, ElementsAre("A1"));
}

TEST_F(SenderNetTest, TheOwnAddressOfABlockedAccountOrLocalUserIsDeferred) {
  auto lists = std::make_shared<ChargeLists>();
  lists->users = {{"web", "bad.example"}, {"web2", "bad.example"}};
  settings_.lists = lists;
  gate_.SetSettings(settings_);
  const ChargedSubjects charged = Charge(*lists, Identity{.user = "web"}, "");
  Block(charged.front().subject);
  Block({SubjectKind::kLocal, "backup@mx.example"});
  const NetOrders orders = Look();
  EXPECT_THAT(orders.domains, IsEmpty());
  EXPECT_THAT(orders.users, ElementsAre(Pair("backup", StartsWith("Local user backup")),
                                        Pair("web", StartsWith("Account"))));
  held_.Release({"A1"});
  Queue("A1", "web@mx.example");
  EXPECT_THAT(Look().users, SizeIs(1)) << "a person lets go of it";
}

TEST_F(SenderNetTest, ThePolicySaysWhetherQueuedMailIsHeld) {
  Policy("[rule.r]\nmin_bad = 5\npercent = 5\naction = {queued = \"pass\"}\n");
  Block("bad.example");
  EXPECT_THAT(Look().domains, IsEmpty());
  Unblock("bad.example");
  Policy("text = \"own words for {subject}\"\n[rule.r]\nmin_bad = 5\npercent = 5\n");
  Block("bad.example");
  EXPECT_THAT(Look().domains, ElementsAre(Pair("bad.example", kDeferredText)));
  Policy("mode = \"shadow\"\n[rule.r]\nmin_bad = 5\npercent = 5\n");
  EXPECT_THAT(Look().domains, IsEmpty());
}

TEST_F(SenderNetTest, TriesAgainOncePostfixHasNoticedTheEndOfTheBlock) {
  Block("bad.example");
  Queue("A1", "bob@bad.example");
  EXPECT_THAT(Look().retry, IsEmpty());
  EXPECT_FALSE(net_.waiting());
  Unblock("bad.example");
  EXPECT_THAT(Look().retry, IsEmpty());
  EXPECT_TRUE(net_.waiting());
  EXPECT_THAT(Look(SenderNet::kNoticed - absl::Seconds(1)).retry, IsEmpty());
  EXPECT_THAT(Look(absl::Seconds(1)).retry, ElementsAre("A1"));
  EXPECT_THAT(Look(absl::Seconds(2)).retry, IsEmpty()) << "it is being tried";
  EXPECT_THAT(Look(SenderNet::kAgain).retry, ElementsAre("A1"));
  EXPECT_THAT(Look(SenderNet::kAgain).retry, IsEmpty());
  EXPECT_THAT(Look(SenderNet::kAgain).retry, ElementsAre("A1"));
  EXPECT_THAT(Look(4 * SenderNet::kAgain).retry, ElementsAre("A1"));
  EXPECT_FALSE(Look(absl::Hours(1)).retry.size()) << "whatever it is, it is not the table";
  EXPECT_FALSE(net_.waiting());
}

TEST_F(SenderNetTest, TriesNothingWhileTheTableCannotBeWritten) {
  Block("bad.example");
  Queue("A1", "bob@bad.example");
  Look();
  Unblock("bad.example");
  writes_ = false;
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Look(absl::Minutes(1)).retry, IsEmpty());
  EXPECT_TRUE(net_.waiting());
  writes_ = true;
  EXPECT_THAT(Look().retry, IsEmpty());
  EXPECT_THAT(Look(SenderNet::kNoticed).retry, ElementsAre("A1"));
}

TEST_F(SenderNetTest, TriesNothingElse) {
  Queue("A1", "bob@bad.example", "host mx.far.example[192.0.2.7] said: 450 4.7.1 busy");
  Queue("A2", "bob@bad.example",
        absl::StrCat("host mx.far.example[192.0.2.7] said: 450 ", kDeferredText));
  Queue("A3", "bob@bad.example").held = true;
  Queue("A4", "bob@bad.example",
        absl::StrCat("delivery temporarily suspended: host mx[192.0.2.7] refused: 421 ",
                     kDeferredText));
  EXPECT_THAT(Look().retry, IsEmpty());
  EXPECT_FALSE(net_.waiting());
}

TEST_F(SenderNetTest, ForgedSendersGoOutAfterTheBlockToo) {
  Block("bad.example");
  QueuedMail& forward = Queue("A1", "Eve@BAD.example");
  forward.identity = {};
  forward.charged.clear();
  EXPECT_THAT(Look().retry, IsEmpty());
  Unblock("bad.example");
  Look();
  EXPECT_THAT(Look(SenderNet::kNoticed).retry, ElementsAre("A1"));
}

TEST_F(SenderNetTest, MailReleasedByAPersonGoesThoughItsDomainIsBlocked) {
  Block("bad.example");
  Queue("A1", "bob@bad.example");
  Queue("A2", "bob@bad.example");
  EXPECT_THAT(Look().domains, SizeIs(1));
  held_.Release({"A1"});
  EXPECT_THAT(Look().domains, IsEmpty());
  EXPECT_THAT(Look(SenderNet::kNoticed).retry, ElementsAre("A1")) << "A2 is to be held";
  queue_[0].problem = "host mx.far.example[192.0.2.7] said: 450 4.7.1 Greylisted";
  EXPECT_THAT(Look().domains, ElementsAre(Pair("bad.example", StartsWith("Domain"))))
      << "it may wait for days now";
}

TEST_F(SenderNetTest, DoesNotTryEverythingAtOnce) {
  for (size_t i = 0; i < 2 * SenderNet::kMaxRetries; ++i)
    Queue(absl::StrCat("A", i), "b@c.example");
  EXPECT_THAT(Look().retry, SizeIs(SenderNet::kMaxRetries));
  EXPECT_THAT(Look().retry, SizeIs(SenderNet::kMaxRetries));
  EXPECT_THAT(Look().retry, IsEmpty());
}

}  // namespace
}  // namespace deferd
