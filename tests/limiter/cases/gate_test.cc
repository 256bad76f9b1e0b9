#include "limiter/cases/gate.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

using testing::HasSubstr;

class GateTest : public testing::Test {
 protected:
  GateTest() { freshness_.Set({}, kMorning); }

  Settings MakeSettings(const std::string& toml) {
    return {LimiterFixture::ParsedPolicy(toml), std::make_shared<ChargeLists>()};
  }
  void Block(const Subject& subject, bool manual = false, const Action& action = {}) {
    Case record;
    record.id = "n-1-1";
    record.subject = subject;
    record.manual = manual;
    record.action = action;
    record.since = kMorning;
    record.until = kMorning + absl::Minutes(90);
    record.counts = {.delivered = 31, .failed = 5};
    record.min_bad = 5;
    record.percent = 14;
    cases_.Put(CaseChange::kOpened, kMorning, record);
  }
  static Action Always(Verdict verdict) {
    Action action;
    action.by_source.fill(verdict);
    return action;
  }
  GateAnswer AskLogin(const std::string& login, Source source = Source::kSubmission) {
    return gate_.Check(Identity{.sender = "other@b.example", .login = login, .host = "192.0.2.1"},
                       source);
  }

  ManualClock clock_{kMorning + absl::Minutes(1)};
  CaseTable cases_;
  Freshness freshness_{kMorning};
  Gate gate_{&cases_, &freshness_, &clock_, MakeSettings("")};
};

TEST_F(GateTest, PassesWhoIsNotBlocked) {
  Block({SubjectKind::kDomain, "b.example"});
  GateAnswer answer = AskLogin("bob@a.example");
  EXPECT_EQ(answer.verdict, Verdict::kPass);
  EXPECT_FALSE(answer.unchecked);
  EXPECT_EQ(answer.text, "");
}

TEST_F(GateTest, RefusesTheChargedDomainWithTheSentence) {
  Block({SubjectKind::kDomain, "a.example"});
  GateAnswer answer = AskLogin("bob@a.example");
  EXPECT_EQ(answer.verdict, Verdict::kReject);
  EXPECT_EQ(answer.text,
            "Domain a.example has exceeded the max defers and failures per hour (5/5 (14%)) "
            "allowed. Message rejected, try again after 09:30 UTC.");
}

TEST_F(GateTest, ThePolicysTextCanNameTheCase) {
  Block({SubjectKind::kDomain, "a.example"});
  gate_.SetSettings(MakeSettings("text = \"Refused, see case {case}.\"\n"));
  EXPECT_EQ(AskLogin("bob@a.example").text, "Refused, see case n-1-1.");
}

TEST_F(GateTest, TheSourceChoosesTheVerdict) {
  Block({SubjectKind::kDomain, "a.example"});
  EXPECT_EQ(AskLogin("bob@a.example", Source::kQueued).verdict, Verdict::kHold);
  EXPECT_THAT(AskLogin("bob@a.example", Source::kLocal).text,
              HasSubstr("Message held until it recovers."));
}

TEST_F(GateTest, MailIsDiscardedOnSureEvidenceAlone) {
  SureCases sure;
  Gate gate(&cases_, &freshness_, &clock_, MakeSettings(""), nullptr, &sure);
  const Subject subject = {SubjectKind::kDomain, "a.example"};
  for (const bool manual : {false, true}) {
    Block(subject, manual, Always(Verdict::kDiscard));
    EXPECT_EQ(gate.Check(subject, Source::kSubmission).verdict,
              manual ? Verdict::kDiscard : Verdict::kHold);
  }
  Block(subject, false, Always(Verdict::kDiscard));
  EXPECT_TRUE(gate.HeldBy({{subject, true}}, Source::kSubmission).has_value());
  sure.Add("n-1-1");
  EXPECT_EQ(gate.Check(subject, Source::kSubmission).verdict, Verdict::kDiscard);
  EXPECT_FALSE(gate.HeldBy({{subject, true}}, Source::kSubmission).has_value());
  Block(subject, false, Always(Verdict::kReject));
  EXPECT_EQ(gate.Check(subject, Source::kSubmission).verdict, Verdict::kReject);
}

TEST(SureCases, TheFirstOnesGoFirst) {
  SureCases sure;
  Case first, last;
  first.id = "n-1-0";
  last.id = absl::StrCat("n-1-", SureCases::kMaxCases);
  for (size_t i = 0; i < SureCases::kMaxCases; ++i) sure.Add(absl::StrCat("n-1-", i));
  EXPECT_TRUE(sure.IsSure(first));
  sure.Add(last.id);
  sure.Add(last.id);
  EXPECT_TRUE(sure.IsSure(last));
  EXPECT_FALSE(sure.IsSure(first));
}

TEST_F(GateTest, ABlockedLoginLeavesTheOthersOfItsDomain) {
  Block({SubjectKind::kLogin, "bob@a.example"});
  EXPECT_EQ(AskLogin("bob@a.example").verdict, Verdict::kReject);
  EXPECT_EQ(AskLogin("eve@a.example").verdict, Verdict::kPass);
}

TEST_F(GateTest, MailFromOutsideIsNeverBlocked) {
  Block({SubjectKind::kDomain, "a.example"});
  GateAnswer answer =
      gate_.Check(Identity{.sender = "x@a.example", .host = "198.51.100.7"}, Source::kRelay);
  EXPECT_EQ(answer.verdict, Verdict::kPass);
}

TEST_F(GateTest, ALoginQueriedByNameGetsTheAnswerOfItsMail) {
  Block({SubjectKind::kDomain, "a.example"});
  EXPECT_EQ(gate_.Check({SubjectKind::kLogin, "bob@a.example"}, Source::kSubmission).verdict,
            Verdict::kReject);
}

TEST_F(GateTest, OverTheLimitOfWhatIsHeldMoreIsRejected) {
  HeldMail held;
  Gate gate(&cases_, &freshness_, &clock_, MakeSettings("hold_limit = 3"), &held);
  const Identity script = {.sender = "web@a.example", .user = "web"};
  const Subject subject = {SubjectKind::kLocal, "web@localhost"};
  Block(subject);
  held.SetCounts({{subject, 2}}, {}, kMorning);
  EXPECT_EQ(gate.Check(script, Source::kLocal).verdict, Verdict::kHold);
  held.CountOne(subject, kMorning);
  const GateAnswer answer = gate.Check(script, Source::kLocal);
  EXPECT_EQ(answer.verdict, Verdict::kReject);
  EXPECT_TRUE(answer.hold_is_full);
  EXPECT_THAT(answer.text, HasSubstr("Message rejected, try again after"));
  EXPECT_EQ(gate.Check(script, Source::kQueued).verdict, Verdict::kHold)
      << "what is queued already has to stay somewhere";
  EXPECT_TRUE(gate.HeldBy({{{subject}}}, Source::kLocal).has_value());
}

// A message may be on its way while the queue is looked at: between two looks the limit holds.
TEST_F(GateTest, MailOnItsWayCountsUntilItIsFoundInTheQueue) {
  HeldMail held;
  const Subject subject = {SubjectKind::kDomain, "a.example"};
  for (int i = 0; i < 3; ++i) held.CountOne(subject, kMorning + absl::Seconds(i));
  EXPECT_EQ(held.CountOf(subject), 3);
  held.SetCounts({}, {}, kMorning + absl::Seconds(5));
  EXPECT_EQ(held.CountOf(subject), 3) << "none of them has arrived yet";
  held.SetCounts({{subject, 2}}, {{subject, 2}}, kMorning + absl::Seconds(7));
  EXPECT_EQ(held.CountOf(subject), 3) << "two are there, one is on its way";
  held.SetCounts({{subject, 2}}, {}, kMorning + absl::Seconds(9));
  EXPECT_EQ(held.CountOf(subject), 3);
  held.SetCounts({{subject, 2}}, {}, kMorning + absl::Seconds(2) + HeldMail::kOnItsWay);
  EXPECT_EQ(held.CountOf(subject), 2) << "that client has given up";
  held.SetCounts({{subject, 5}}, {{subject, 3}}, kMorning + absl::Minutes(5));
  EXPECT_EQ(held.CountOf(subject), 5);
}

TEST_F(GateTest, EndsWithItsTime) {
  Block({SubjectKind::kDomain, "a.example"});
  clock_.Set(kMorning + absl::Minutes(90));
  EXPECT_EQ(AskLogin("bob@a.example").verdict, Verdict::kPass);
}

TEST_F(GateTest, APassIsUncheckedWhileSomethingIsNotKnown) {
  freshness_.Set({"/var/log/exim4/mainlog: read with a lag of 99 s"}, kMorning);
  EXPECT_TRUE(AskLogin("bob@a.example").unchecked);
  Block({SubjectKind::kDomain, "a.example"});
  EXPECT_FALSE(AskLogin("bob@a.example").unchecked) << "a refusal stands all the same";
}

TEST_F(GateTest, ModeShadowStopsRulesAtOnceButNotAPerson) {
  Block({SubjectKind::kDomain, "a.example"});
  Block({SubjectKind::kDomain, "c.example"}, /*manual=*/true);
  gate_.SetSettings(MakeSettings("mode = \"shadow\"\n"));
  EXPECT_EQ(AskLogin("bob@a.example").verdict, Verdict::kPass);
  GateAnswer answer = AskLogin("bob@c.example");
  EXPECT_EQ(answer.verdict, Verdict::kReject);
  EXPECT_THAT(answer.text, HasSubstr("Mail of c.example was stopped by the administrator."));
}

// A rule's case of the domain itself does not take the place of what a person said of all below.
TEST_F(GateTest, OfTheOwnBlockAndAPersonsWiderOneTheStrictestHolds) {
  const Subject own = {SubjectKind::kDomain, "x.a.example"};
  const Subject wide = {SubjectKind::kDomain, "*.a.example"};
  const Subject wider = {SubjectKind::kDomain, "*.example"};
  const struct {
    Verdict own, wide, wider, told;
  } kCases[] = {
      {Verdict::kHold, Verdict::kReject, Verdict::kHold, Verdict::kReject},
      {Verdict::kReject, Verdict::kHold, Verdict::kHold, Verdict::kReject},
      {Verdict::kHold, Verdict::kHold, Verdict::kReject, Verdict::kReject},
      {Verdict::kHold, Verdict::kHold, Verdict::kDiscard, Verdict::kDiscard},
  };
  for (const auto& one : kCases) {
    Block(own, /*manual=*/false, Always(one.own));
    Block(wide, /*manual=*/true, Always(one.wide));
    Block(wider, /*manual=*/true, Always(one.wider));
    EXPECT_EQ(AskLogin("bob@x.a.example").verdict, one.told);
    EXPECT_EQ(cases_.FindEnforced(own, clock_.Now())->action.Strictest(), one.told);
  }
  // A policy on trial stops the rule's alone.
  Block(own, /*manual=*/false, Always(Verdict::kReject));
  Block(wide, /*manual=*/true, Always(Verdict::kHold));
  Block(wider, /*manual=*/true, Always(Verdict::kHold));
  gate_.SetSettings(MakeSettings("mode = \"shadow\"\n"));
  EXPECT_EQ(AskLogin("bob@x.a.example").verdict, Verdict::kHold);
  const Charged charged = {own, true};
  const std::optional<Case> held = gate_.HeldBy(absl::MakeConstSpan(&charged, 1), Source::kQueued);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(held->subject, wide);
}

// An exemption excuses from each block for itself.
TEST_F(GateTest, AnExemptionThatIsWiderThanOneBlockDoesNotExcuseFromIt) {
  Block({SubjectKind::kDomain, "x.a.example"}, /*manual=*/false, Always(Verdict::kReject));
  Block({SubjectKind::kDomain, "*.a.example"}, /*manual=*/true, Always(Verdict::kHold));
  Block({SubjectKind::kDomain, "*.example"}, /*manual=*/true, Always(Verdict::kPass));
  EXPECT_EQ(AskLogin("bob@x.a.example").verdict, Verdict::kHold)
      << "excused from the rule's, not from the narrower word of a person";
  Block({SubjectKind::kLogin, "bob@x.a.example"}, /*manual=*/true, Always(Verdict::kPass));
  EXPECT_EQ(AskLogin("bob@x.a.example").verdict, Verdict::kPass);
  EXPECT_EQ(AskLogin("eve@x.a.example").verdict, Verdict::kHold);
}

TEST(Narrowness, AHostIsTheWidest) {
  const std::vector<Subject> from_wide_to_narrow = {
      {SubjectKind::kHost, "192.0.2.1"},     {SubjectKind::kDomain, "*.example"},
      {SubjectKind::kDomain, "*.a.example"}, {SubjectKind::kDomain, "tag:news"},
      {SubjectKind::kDomain, "a.example"},   {SubjectKind::kLogin, "bob@a.example"},
  };
  for (size_t i = 1; i < from_wide_to_narrow.size(); ++i) {
    EXPECT_LT(NarrownessOf(from_wide_to_narrow[i - 1]), NarrownessOf(from_wide_to_narrow[i])) << i;
  }
}

}  // namespace
}  // namespace deferd
