#include "limiter/queue/holder.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// A queue that does what it is told, and a case table that is written by hand.
class HolderTest : public testing::Test {
 protected:
  HolderTest() { freshness_.Set({}, kMorning); }

  void Policy(const std::string& toml) {
    settings_.policy = LimiterFixture::ParsedPolicy(toml);
    gate_.SetSettings(settings_);
  }

  Case Open(const std::string& domain, absl::Duration at = absl::ZeroDuration()) {
    Case record;
    record.id = absl::StrCat("n-1-", ++number_);
    record.subject = {SubjectKind::kDomain, domain};
    record.by = "rule";
    record.since = At(at);
    record.until = At(at) + absl::Hours(10);
    record.percent_limit = 50;
    cases_.Put(CaseChange::kOpened, record.since, record);
    if (evidence_is_sure_) sure_.Add(record.id);
    return record;
  }
  void Close(Case record, const std::string& by, HeldOrder order = HeldOrder::kNone) {
    record.held_order = order;
    record.state = CaseState::kClosed;
    record.closed_at = clock_.Now();
    SetCloser(by, &record);
    cases_.Put(CaseChange::kEnded, clock_.Now(), record);
  }

  void Queue(const std::string& id, const std::string& login, absl::Duration at,
             bool held = false) {
    QueuedMail& mail = queue_[id];
    mail.id = id;
    mail.arrival = At(at);
    mail.held = held;
    mail.recipients = {"ann@far.example"};
    mail.sender = login;
    mail.identity.login = login;
    mail.identity.host = "192.0.2.1";
    mail.charged = Charge(*settings_.lists, mail.identity, "");
  }
  // So many that deferd holds.
  void HoldMany(int n, const std::string& login) {
    for (int i = 0; i < n; ++i) {
      const std::string id = absl::StrCat("m", 1000 + i);
      Queue(id, login, absl::Seconds(i), true);
      queue_[id].ours = true;
    }
  }

  // One look, whose orders are carried out unless `obeys_` is false; what is let go leaves.
  QueueOrders Look() {
    std::vector<QueuedMail> queue;
    for (const auto& [id, mail] : queue_) queue.push_back(mail);
    QueueOrders orders = holder_->Decide(queue, *settings_.policy, *settings_.lists, clock_.Now());
    if (!obeys_) return orders;
    for (const std::string& id : orders.hold) queue_[id].held = true;
    for (const std::string& id : orders.release) queue_.erase(id);
    for (const std::string& id : orders.give_back) queue_.erase(id);
    return orders;
  }
  std::string WaitsFor() const {
    return holder_->held().empty() ? "" : holder_->held().front().waits_for;
  }

  Holder::Parts Parts() {
    return {.gate = &gate_,
            .cases = &cases_,
            .held = &held_,
            .grave =
                [this](const Case& record) {
                  return grave_.count(record.id) > 0 ? grave_[record.id] : harmless_;
                },
            .outcome = [this](const std::vector<std::string>&, absl::Time) { return outcome_; },
            .remember =
                [this](const std::string& name, std::optional<int64_t> number) {
                  if (number.has_value()) {
                    remembered_[name] = *number;
                  } else {
                    remembered_.erase(name);
                  }
                }};
  }
  void Restart() { holder_ = std::make_unique<Holder>(Parts(), remembered_); }

  ManualClock clock_{kMorning + absl::Minutes(1)};
  Settings settings_{LimiterFixture::ParsedPolicy(""), std::make_shared<ChargeLists>()};
  CaseTable cases_;
  HeldMail held_;
  Freshness freshness_{kMorning};
  SureCases sure_;
  Gate gate_{&cases_, &freshness_, &clock_, settings_, &held_, &sure_};
  std::optional<std::string> harmless_ = "";
  std::map<std::string, std::optional<std::string>> grave_;  // by case id, where not harmless_
  std::optional<PortionOutcome> outcome_ = PortionOutcome{{.delivered = 1000}, 1000};
  std::map<std::string, int64_t> remembered_;
  bool obeys_ = true;
  bool evidence_is_sure_ = true;
  int number_ = 0;
  std::map<std::string, QueuedMail> queue_;
  std::unique_ptr<Holder> holder_ = std::make_unique<Holder>(Parts(), remembered_);
};

TEST_F(HolderTest, WhatNobodyWaitsForIsNotHeld) {
  Queue("m1", "bob@bad.example", absl::Seconds(-10));
  Open("bad.example");
  EXPECT_THAT(Look().hold, ElementsAre("m1"));
  // Its recipients were done with in that moment.
  queue_["m1"].recipients.clear();
  EXPECT_THAT(Look().release, ElementsAre("m1")) << "though its sender is blocked";
  EXPECT_THAT(holder_->held(), IsEmpty());
  Queue("m2", "bob@bad.example", absl::Seconds(-10));
  queue_["m2"].recipients.clear();
  EXPECT_THAT(Look().hold, IsEmpty());
  Queue("m3", "bob@bad.example", absl::Seconds(-10), true);
  queue_["m3"].recipients.clear();
  EXPECT_THAT(Look().release, IsEmpty()) << "somebody else's";
}

TEST_F(HolderTest, HoldsTheMailOfWhoIsBlockedAndNobodyElses) {
  Queue("m1", "bob@bad.example", absl::Seconds(-10));
  Queue("m2", "eve@good.example", absl::Seconds(-10));
  EXPECT_TRUE(Look().empty());
  Open("bad.example");
  const QueueOrders orders = Look();
  EXPECT_THAT(orders.hold, ElementsAre("m1"));
  EXPECT_THAT(orders.release, IsEmpty());
  EXPECT_TRUE(Look().empty());
  ASSERT_THAT(holder_->held(), SizeIs(1));
  EXPECT_EQ(holder_->held()[0].subject.id, "bad.example");
  EXPECT_TRUE(holder_->held()[0].blocked);
  EXPECT_EQ(held_.CountOf({SubjectKind::kDomain, "bad.example"}), 1);
}

TEST_F(HolderTest, NobodyIsChargedNothingIsDone) {
  QueuedMail mail;
  mail.id = "m1";
  mail.sender = "bob@bad.example";
  queue_["m1"] = mail;
  Open("bad.example");
  EXPECT_TRUE(Look().empty());
}

TEST_F(HolderTest, AnOrderThatIsNotObeyedIsGivenAgainLater) {
  obeys_ = false;
  Queue("m1", "bob@bad.example", absl::Seconds(-10));
  Open("bad.example");
  EXPECT_THAT(Look().hold, ElementsAre("m1"));
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(Look().hold, IsEmpty());
  clock_.Advance(Holder::kAgain);
  EXPECT_THAT(Look().hold, ElementsAre("m1"));
}

TEST_F(HolderTest, ReleasesInGrowingPortions) {
  const Case record = Open("bad.example");
  HoldMany(100, "bob@bad.example");
  EXPECT_TRUE(Look().empty());
  Close(record, "root");
  std::vector<size_t> portions;
  while (!queue_.empty()) {
    clock_.Advance(absl::Seconds(2));
    const QueueOrders orders = Look();
    ASSERT_FALSE(orders.release.empty());
    EXPECT_EQ(orders.release.front(),
              absl::StrCat("m", 1100 - queue_.size() - orders.release.size()))
        << "the oldest first";
    portions.push_back(orders.release.size());
  }
  EXPECT_THAT(portions, ElementsAre(10, 40, 50));
}

TEST_F(HolderTest, APortionIsWaitedForButNotForEver) {
  const Case record = Open("bad.example");
  HoldMany(60, "bob@bad.example");
  Look();
  Close(record, "root");
  obeys_ = false;
  const QueueOrders first = Look();
  EXPECT_THAT(first.release, SizeIs(10));
  for (const std::string& id : first.release) queue_[id].held = false;  // put off by its server
  outcome_ = {{.delivered = 9}, 9};
  clock_.Advance(Holder::kJudgedAfter - absl::Seconds(1));
  EXPECT_TRUE(Look().empty()) << "one is not known of";
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Look().release, SizeIs(40));
}

// Greylisting, full mailboxes, or another domain's block: nothing of it says anything.
TEST_F(HolderTest, APortionOfWhichNothingCountsEndsByTheDeadlineAndTheNextIsAsLarge) {
  const Case record = Open("bad.example");
  HoldMany(35, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = PortionOutcome();
  std::vector<size_t> portions;
  while (!queue_.empty()) {
    const QueueOrders orders = Look();
    EXPECT_EQ(WaitsFor(), "");
    portions.push_back(orders.release.size());
    clock_.Advance(Holder::kJudgedAfter);
  }
  EXPECT_THAT(portions, ElementsAre(10, 10, 10, 5));
  EXPECT_LT(clock_.Now(), kMorning + absl::Hours(1));
}

TEST_F(HolderTest, OneBadAnswerAmongManyThatSayNothingIsNoVerdictTwoAre) {
  const Case record = Open("bad.example");
  HoldMany(35, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = {{.failed = 1}, 1};
  EXPECT_THAT(Look().release, SizeIs(10));
  clock_.Advance(Holder::kJudgedAfter);
  EXPECT_THAT(Look().release, SizeIs(10));
  outcome_ = {{.failed = 2}, 2};
  clock_.Advance(Holder::kJudgedAfter);
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "2 of 2 deliveries of released messages failed or were deferred");
}

// While portions go, hold_max takes nothing away: those at the end would never have had a chance.
TEST_F(HolderTest, MailBeingReleasedIsNotReturned) {
  Policy("hold_max = \"10m\"");
  const Case record = Open("bad.example");
  HoldMany(100, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = PortionOutcome();
  while (!queue_.empty()) {
    EXPECT_THAT(Look().give_back, IsEmpty());
    clock_.Advance(Holder::kJudgedAfter);
  }
  EXPECT_GT(clock_.Now(), kMorning + absl::Minutes(15));
}

TEST_F(HolderTest, AnOrderThatTheMailServerRefusedIsGivenAgainSoon) {
  obeys_ = false;
  Queue("m1", "bob@bad.example", absl::Seconds(-10));
  const Case record = Open("bad.example");
  EXPECT_THAT(Look().hold, ElementsAre("m1"));
  for (int i = 0; i < 3; ++i) {
    holder_->NotDone("m1", clock_.Now());  // "Spool file is locked"
    EXPECT_THAT(Look().hold, IsEmpty());
    clock_.Advance(Holder::kRetry);
    EXPECT_THAT(Look().hold, ElementsAre("m1"));
  }
  queue_["m1"].held = true;
  Close(record, "root");
  EXPECT_THAT(Look().release, ElementsAre("m1"));
  holder_->NotDone("m1", clock_.Now());
  clock_.Advance(Holder::kRetry);
  EXPECT_THAT(Look().release, ElementsAre("m1")) << "before the portion is judged";
}

TEST_F(HolderTest, WhenAPersonUnblocksTheCaseStillDecidesAboutItsMail) {
  harmless_ = "most remote replies were of class content";
  const Case record = Open("bad.example");
  HoldMany(30, "bob@bad.example");
  Look();
  Close(record, "root");
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "most remote replies were of class content");
}

TEST_F(HolderTest, APersonsReleaseLetsAllOfItGoWhateverTheCaseWas) {
  Policy("release_auto_max = 5");
  harmless_ = "most remote replies were of class content";
  outcome_ = {{.failed = 10}, 10};
  const Case record = Open("bad.example");
  HoldMany(30, "bob@bad.example");
  Look();
  Close(record, "root", HeldOrder::kRelease);
  EXPECT_THAT(Look().release, SizeIs(30));
  // What was accepted in the moment of the unblock is found later.
  Queue("late", "bob@bad.example", absl::Seconds(50), true);
  queue_["late"].ours = true;
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(Look().release, ElementsAre("late"));
}

TEST_F(HolderTest, APersonsKeepKeepsItAlsoBeyondHoldMaxAndSaysSo) {
  Policy("hold_max = \"2h\"");
  const Case record = Open("bad.example");
  HoldMany(3, "bob@bad.example");
  Look();
  Close(record, "root", HeldOrder::kKeep);
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "root keeps it on hold");
  clock_.Advance(absl::Hours(3));
  Restart();
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "root keeps it on hold");
  EXPECT_EQ(holder_->held().front().overdue, 3);
  held_.Release({"m1000"});
  EXPECT_THAT(Look().release, ElementsAre("m1000"));
}

// A bounce to a stranger is backscatter.
TEST_F(HolderTest, MailHeldForTooLongIsReturnedToOurSendersOnly) {
  auto lists = std::make_shared<ChargeLists>();
  lists->users["web"] = "bad.example";
  ASSERT_TRUE(lists->relay_hosts.Add("192.0.2.7").ok());
  settings_.lists = lists;
  gate_.SetSettings(settings_);
  struct OverdueCase {
    const char* name;
    const char* sender;
    Identity identity;
    bool given_back;
  };
  const OverdueCase kCases[] = {
      {"login", "Bob@bad.example", {.login = "bob@bad.example", .host = "192.0.2.1"}, true},
      {"colleague", "info@bad.example", {.login = "bob@bad.example", .host = "192.0.2.1"}, true},
      {"forged", "eve@victim.example", {.login = "bob@bad.example", .host = "192.0.2.1"}, false},
      {"script", "shop@bad.example", {.user = "web"}, true},
      {"script-own", "web@mx.example", {.user = "web"}, true},
      {"script-forged", "eve@victim.example", {.user = "web"}, false},
      {"relay", "bob@bad.example", {.sender = "bob@bad.example", .host = "192.0.2.7"}, false},
      {"null", "", {.login = "bob@bad.example", .host = "192.0.2.1"}, false},
  };
  Open("bad.example");
  for (const OverdueCase& one : kCases) {
    Queue(one.name, "bob@bad.example", absl::Seconds(1), true);
    QueuedMail& mail = queue_[one.name];
    mail.ours = true;
    mail.sender = one.sender;
    mail.identity = one.identity;
    mail.charged = Charge(*lists, mail.identity, "");
    ASSERT_FALSE(mail.charged.empty()) << one.name;
  }
  EXPECT_TRUE(Look().empty());
  clock_.Advance(absl::Hours(6) + absl::Minutes(1));
  obeys_ = false;
  const QueueOrders orders = Look();
  int64_t overdue = 0;
  for (const OverdueCase& one : kCases) {
    const bool given_back = std::find(orders.give_back.begin(), orders.give_back.end(), one.name) !=
                            orders.give_back.end();
    EXPECT_EQ(given_back, one.given_back) << one.name;
    if (!one.given_back) ++overdue;
  }
  EXPECT_EQ(holder_->held().front().overdue, overdue);
  EXPECT_EQ(holder_->held().front().messages, static_cast<int64_t>(std::size(kCases)));
  lists = std::make_shared<ChargeLists>(*lists);
  lists->hosted.push_back(*DomainPattern::Parse("bad.example"));
  settings_.lists = lists;
  clock_.Advance(Holder::kAgain);
  EXPECT_THAT(Look().give_back, testing::Contains("relay")) << "its sender's domain is hosted here";
}

TEST_F(HolderTest, WithoutALedgerAPersonDecidesAfterOnePortion) {
  const Case record = Open("bad.example");
  HoldMany(30, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = std::nullopt;  // there is no ledger
  EXPECT_THAT(Look().release, SizeIs(10));
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "");
  clock_.Advance(Holder::kJudgedAfter);
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "the outcome of the released messages cannot be determined");
}

TEST_F(HolderTest, APortionThatGoesWrongStopsTheRest) {
  const Case record = Open("bad.example");
  HoldMany(30, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = {{.delivered = 5, .failed = 5}, 10};
  EXPECT_THAT(Look().release, SizeIs(10));
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "5 of 10 deliveries of released messages failed or were deferred");
  clock_.Advance(absl::Hours(1));
  EXPECT_TRUE(Look().empty());
}

TEST_F(HolderTest, LessThanTheRulesShareIsNoStop) {
  const Case record = Open("bad.example");
  HoldMany(30, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = {{.delivered = 6, .failed = 4}, 10};
  Look();
  clock_.Advance(absl::Seconds(2));
  EXPECT_THAT(Look().release, SizeIs(20));
}

TEST_F(HolderTest, WhatWasGraveWaitsForAPerson) {
  for (const char* by : {"time", "policy"}) {
    const Case record = Open("bad.example");
    HoldMany(3, "bob@bad.example");
    Look();
    Close(record, by);
    harmless_ = "most remote replies were of class content";
    EXPECT_TRUE(Look().empty()) << by;
    EXPECT_EQ(WaitsFor(), "most remote replies were of class content");
  }
}

TEST_F(HolderTest, UnknownEvidenceWaitsForAPerson) {
  const Case record = Open("bad.example");
  HoldMany(3, "bob@bad.example");
  Look();
  Close(record, "time");
  harmless_ = std::nullopt;
  EXPECT_TRUE(Look().empty());
  EXPECT_THAT(WaitsFor(), HasSubstr("no longer known"));
}

TEST_F(HolderTest, APersonsBlockOverAGraveCaseIsGraveWhenItsTimeIsOver) {
  Case rules = Open("bad.example");
  grave_[rules.id] = "most remote replies were of class content";
  HoldMany(3, "bob@bad.example");
  Look();
  Case manual = rules;
  manual.id = "n-1-manual";
  manual.manual = true;
  rules.closed_reason = "replaced by n-1-manual";
  Close(rules, "root");
  cases_.Put(CaseChange::kBlockedByPerson, clock_.Now(), manual);
  EXPECT_TRUE(Look().empty());
  clock_.Advance(absl::Minutes(1));
  Close(manual, "time");
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "most remote replies were of class content");
}

TEST_F(HolderTest, ARestartForgetsNoPerson) {
  const Case record = Open("bad.example");
  HoldMany(30, "bob@bad.example");
  Look();
  Close(record, "root");
  outcome_ = {{.failed = 10}, 10};
  EXPECT_THAT(Look().release, SizeIs(10));
  clock_.Advance(absl::Seconds(2));
  EXPECT_TRUE(Look().empty());
  EXPECT_NE(WaitsFor(), "");
  Restart();
  EXPECT_TRUE(Look().empty());
  EXPECT_NE(WaitsFor(), "");
}

TEST_F(HolderTest, AHarmlessCaseEndsByItself) {
  const Case record = Open("bad.example");
  HoldMany(3, "bob@bad.example");
  Look();
  Close(record, "time");
  EXPECT_THAT(Look().release, SizeIs(3));
}

TEST_F(HolderTest, AnIncidentWasNobodysFault) {
  const Case record = Open("bad.example");
  HoldMany(3, "bob@bad.example");
  Look();
  Close(record, "incident");
  harmless_ = "most remote replies were of class reputation";
  EXPECT_THAT(Look().release, SizeIs(3));
}

TEST_F(HolderTest, ManyWaitForAPersonAndAPersonsUnblockOfAHarmlessCaseIsOne) {
  Policy("release_auto_max = 5");
  Case record = Open("bad.example");
  HoldMany(6, "bob@bad.example");
  Look();
  Close(record, "time");
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(WaitsFor(), "6 messages are held; above release_auto_max = 5 a person decides");
  record = Open("bad.example", absl::Minutes(1));
  Look();
  Close(record, "root");
  EXPECT_THAT(Look().release, SizeIs(6));
}

TEST_F(HolderTest, WhatAPersonLetGoIsNotHeldAgain) {
  Open("bad.example");
  Queue("m1", "bob@bad.example", absl::Seconds(-10), true);
  Queue("m2", "bob@bad.example", absl::Seconds(-10), true);
  EXPECT_TRUE(Look().empty());
  held_.Release({"m1"});
  obeys_ = false;
  EXPECT_THAT(Look().release, ElementsAre("m1"));
  queue_["m1"].held = false;
  EXPECT_TRUE(Look().empty());
  EXPECT_EQ(gate_.Check(queue_["m1"].identity, Source::kQueued, "m1").verdict, Verdict::kPass);
  EXPECT_EQ(gate_.Check(queue_["m2"].identity, Source::kQueued, "m2").verdict, Verdict::kHold);
  Restart();
  EXPECT_TRUE(Look().empty()) << "a restart remembers it";
  queue_.erase("m1");
  Look();
  EXPECT_FALSE(held_.WasReleased("m1")) << "it is gone, and its id may come again";
}

TEST_F(HolderTest, MailHeldForTooLongIsReturned) {
  Policy("hold_max = \"2h\"");
  Open("bad.example");
  Queue("m1", "bob@bad.example", absl::Hours(-20));  // queued long before the block
  EXPECT_THAT(Look().hold, ElementsAre("m1"));
  clock_.Advance(absl::Minutes(110));
  EXPECT_TRUE(Look().empty());
  Restart();
  EXPECT_TRUE(Look().empty());
  clock_.Advance(absl::Minutes(15));
  EXPECT_THAT(Look().give_back, ElementsAre("m1"));
}

TEST_F(HolderTest, AGuessGivesNothingBack) {
  Policy("hold_max = \"2h\"");
  evidence_is_sure_ = false;
  const Case record = Open("bad.example");
  Queue("m1", "bob@bad.example", absl::Minutes(1), true);
  queue_["m1"].ours = true;
  Look();
  clock_.Advance(absl::Hours(3));
  EXPECT_TRUE(Look().empty());
  ASSERT_THAT(holder_->held(), SizeIs(1));
  EXPECT_EQ(holder_->held()[0].overdue, 1);
  sure_.Add(record.id);
  EXPECT_THAT(Look().give_back, ElementsAre("m1"));
}

// Exim puts it where the message was, and its own queue runs pass that by.
TEST_F(HolderTest, TheNoticeOfWhatIsGivenBackGoesOut) {
  QueuedMail notice;
  notice.id = "m1";
  notice.held = notice.ours = true;
  notice.recipients = {"bob@bad.example"};
  queue_["m1"] = notice;
  EXPECT_THAT(Look().release, ElementsAre("m1"));
}

TEST_F(HolderTest, HeldMailOfUnknownSendersIsReturnedToHostedDomainsOnly) {
  Queue("m1", "bob@bad.example", absl::Hours(-1), true);
  queue_["m1"].ours = true;
  queue_["m1"].sender = "bob@bad.example";
  queue_["m1"].identity = {};
  queue_["m1"].charged.clear();
  EXPECT_TRUE(Look().empty());
  ASSERT_THAT(holder_->held(), SizeIs(1));
  EXPECT_EQ(WaitsFor(), "its sender is no longer known");
  clock_.Advance(absl::Hours(6) + absl::Seconds(1));
  EXPECT_TRUE(Look().empty()) << "its sender may be forged";
  EXPECT_EQ(holder_->held()[0].overdue, 1);
  auto lists = std::make_shared<ChargeLists>();
  lists->hosted.push_back(*DomainPattern::Parse("bad.example"));
  settings_.lists = lists;
  EXPECT_THAT(Look().give_back, ElementsAre("m1"));
}

TEST_F(HolderTest, MailHeldByAnAnswerStaysDeferdsInALaterCase) {
  Case record = Open("bad.example");
  record.action.by_source.fill(Verdict::kHold);
  cases_.Put(CaseChange::kOpened, record.since, record);
  Queue("A37C8A722D8", "bob@bad.example", absl::Seconds(10), true);
  const QueueOrders orders = Look();
  EXPECT_THAT(orders.now_held, ElementsAre("A37C8A722D8"));
  EXPECT_THAT(Look().now_held, IsEmpty());
  Close(record, "time");
  harmless_ = "most remote replies were of class content";
  Look();
  clock_.Advance(absl::Minutes(10));
  record = Open("bad.example", absl::Minutes(10));
  Restart();
  EXPECT_TRUE(Look().empty());
  EXPECT_THAT(holder_->held(), SizeIs(1));
  Close(record, "root", HeldOrder::kRelease);
  EXPECT_THAT(Look().release, ElementsAre("A37C8A722D8"));
}

TEST_F(HolderTest, WhatSomebodyElseHoldsIsLetAlone) {
  Policy("hold_max = \"2h\"");
  Queue("m1", "bob@bad.example", absl::Hours(-20), true);
  const Case record = Open("bad.example");
  EXPECT_TRUE(Look().empty());
  Close(record, "root");
  clock_.Advance(absl::Hours(5));
  EXPECT_TRUE(Look().empty());
  EXPECT_THAT(holder_->held(), IsEmpty());
}

TEST_F(HolderTest, WhatWasHeldAMomentBeforeTheBlockIsOursOnlyIfSomebodyWasAnsweredSo) {
  for (const bool answered : {false, true}) {
    SCOPED_TRACE(answered);
    queue_.clear();
    Case record = Open("bad.example");
    record.action.by_source.fill(Verdict::kHold);
    cases_.Put(CaseChange::kOpened, record.since, record);
    Queue("m1", "bob@bad.example", absl::Seconds(-5), true);
    if (answered) held_.CountOne(record.subject, clock_.Now());
    EXPECT_EQ(Look().now_held.size(), answered ? 1u : 0u);
    Close(record, "root");
    EXPECT_EQ(Look().release.size(), answered ? 1u : 0u);
  }
}

// Postfix gives arrivals in whole seconds; deferd was restarted since it answered.
TEST_F(HolderTest, MailOfTheBlocksFirstSecondIsDeferds) {
  Case record = Open("shop.example", absl::Milliseconds(900));
  record.action.by_source.fill(Verdict::kHold);
  cases_.Put(CaseChange::kOpened, record.since, record);
  Queue("first", "bob@shop.example", absl::ZeroDuration(), true);
  Queue("before", "bob@shop.example", -absl::Seconds(1), true);
  EXPECT_TRUE(HeldByDeferd(queue_["first"], record, held_));
  EXPECT_FALSE(HeldByDeferd(queue_["before"], record, held_));
  Look();
  EXPECT_TRUE(held_.WasHeld("first"));
  EXPECT_FALSE(held_.WasHeld("before"));
}

TEST_F(HolderTest, AfterARestartHeldMailIsFoundByItsCase) {
  const Case record = Open("bad.example");
  Queue("m1", "bob@bad.example", absl::Seconds(-10), true);
  Queue("m2", "bob@bad.example", absl::Seconds(-10), true);
  remembered_ = {{"queue_held:m1", absl::ToUnixSeconds(kMorning)}};
  queue_["m2"].ours = true;  // in a queue of deferd's own
  Restart();
  Close(record, "root");
  EXPECT_THAT(Look().release, UnorderedElementsAre("m1", "m2"));
}

// A policy may hold what is submitted and let go what was queued already.
TEST_F(HolderTest, TheSourceDecidesWhatIsHeld) {
  Case record = Open("bad.example");
  record.action.by_source = {Verdict::kHold, Verdict::kPass, Verdict::kPass, Verdict::kPass};
  cases_.Put(CaseChange::kOpened, record.since, record);
  Queue("m1", "bob@bad.example", absl::Minutes(-5));
  Queue("m2", "bob@bad.example", absl::Seconds(10), true);
  EXPECT_TRUE(Look().empty());
  ASSERT_THAT(holder_->held(), SizeIs(1));
  EXPECT_TRUE(holder_->held()[0].blocked);
  Close(record, "root");
  EXPECT_THAT(Look().release, ElementsAre("m2"));
}

TEST_F(HolderTest, InShadowNothingIsHeld) {
  Policy("mode = \"shadow\"");
  Queue("m1", "bob@bad.example", absl::Seconds(-10));
  Open("bad.example");
  EXPECT_TRUE(Look().empty());
}

}  // namespace
}  // namespace deferd
