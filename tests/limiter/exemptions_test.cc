// A person's exemptions and blocks without an end or of "*." names, in every order of events.

#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/cases/gate.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr char kExemptionsPolicy[] = R"(
[tag.news]
domains = ["n.example", "*.letters.example"]
[rule.logins]
kind = "login"
min_bad = 3
percent = 50
[rule.domains]
min_bad = 5
percent = 50
)";

class Daemon : public LimiterFixture {
 public:
  Daemon() : LimiterFixture(kExemptionsPolicy, At(absl::Minutes(10))) {
    freshness_.Set({}, clock_.Now());
  }

  static Subject Named(const std::string& text) {
    if (text.rfind("tag:", 0) == 0) return {SubjectKind::kDomain, text};
    absl::StatusOr<Subject> subject = Subject::Parse(text);
    EXPECT_THAT(subject, IsOk());
    return *subject;
  }
  void Exempt(const std::string& who, absl::Duration duration = kForever) {
    committer_->Exempt(Named(who), duration, "root", "paying customer");
  }
  void Block(const std::string& who, absl::Duration duration = kForever) {
    committer_->Block(Named(who), duration, "root", "abuse");
  }
  void Fail(const std::string& domain, int n = 5, absl::Duration at = absl::Minutes(9)) {
    FeedMany(n, domain, at, Outcome::kFailed);
  }
  // What bob@`domain` is told.
  Verdict Told(const std::string& domain) {
    Gate gate(cases_.get(), &freshness_, &clock_, limiter_->settings());
    const std::string login = "bob@" + domain;
    return gate
        .Check(Identity{.sender = login, .login = login, .host = "192.0.2.1"}, Source::kSubmission)
        .verdict;
  }
  bool Passes(const std::string& domain) { return Told(domain) == Verdict::kPass; }

  Freshness freshness_{kMorning};
};

class ExemptionsTest : public testing::Test, public Daemon {};

TEST_F(ExemptionsTest, WhomItMeansPassesIsCountedAndShown) {
  const struct {
    const char* who;
    const char* passes;
    const char* blocked;
  } kCases[] = {
      {"a.example", "a.example", "b.example"},
      {"*.a.example", "x.y.a.example", "a.example"},
      {"login:bob@a.example", "a.example", "b.example"},
      {"tag:news", "n.example", "b.example"},
      {"tag:news", "may.letters.example", "letters.example"},
  };
  for (const auto& one : kCases) {
    for (const bool before : {true, false}) {
      SCOPED_TRACE(absl::StrCat(one.who, before ? " before" : " after"));
      Daemon fresh;
      if (before) fresh.Exempt(one.who);
      fresh.Fail(one.passes);
      fresh.Fail(one.blocked);
      EXPECT_FALSE(fresh.Passes(one.blocked));
      if (!before) {
        EXPECT_FALSE(fresh.Passes(one.passes));
        fresh.Exempt(one.who);
      }
      EXPECT_TRUE(fresh.Passes(one.passes));
      EXPECT_FALSE(fresh.Passes(one.blocked));
      fresh.Fail(one.passes, 5, absl::Minutes(10));
      EXPECT_TRUE(fresh.Passes(one.passes)) << "whatever comes";
      const SubjectReport report =
          fresh.limiter_->Report(Named(absl::StrCat("login:bob@", one.passes)));
      ASSERT_TRUE(report.exemption.has_value());
      EXPECT_EQ(report.exemption->reason, "paying customer");
      EXPECT_EQ(report.counts.failed, 10) << "counted all the while";
      EXPECT_EQ(fresh.cases_->CountExemptions(), 1u);
    }
  }
}

TEST_F(ExemptionsTest, ARuleBlocksAgainOnceItIsRemovedOrOver) {
  Exempt("a.example", absl::Minutes(30));
  Exempt("b.example");
  Fail("a.example");
  Fail("b.example");
  clock_.Advance(absl::Minutes(30));
  committer_->Tick();
  EXPECT_THAT(committer_->EndExemption(Named("b.example"), "root", ""), IsOk());
  EXPECT_EQ(cases_->CountExemptions(), 0u);
  EXPECT_TRUE(Passes("a.example")) << "until the next failure";
  Fail("a.example", 1, absl::Minutes(40));
  Fail("b.example", 1, absl::Minutes(40));
  EXPECT_FALSE(Passes("a.example"));
  EXPECT_FALSE(Passes("b.example"));
  EXPECT_FALSE(committer_->EndExemption(Named("b.example"), "root", "").ok());
}

// Between its end and the tick that closes it, which may be a while in a quiet log.
TEST_F(ExemptionsTest, OneThatIsOverHidesNoWiderOne) {
  Block("*.example");
  Exempt("*.a.example");
  Exempt("x.a.example", absl::Minutes(30));
  EXPECT_TRUE(Passes("x.a.example"));
  clock_.Advance(absl::Minutes(31));
  ASSERT_EQ(cases_->CountExemptions(), 2u) << "not closed yet";
  EXPECT_TRUE(Passes("x.a.example"));
  EXPECT_EQ(Told("b.example"), Verdict::kReject);
}

TEST_F(ExemptionsTest, SurviveARestart) {
  Exempt("*.a.example", absl::Hours(48));
  Block("*.spam.example");
  Block("login:eve@c.example");
  ASSERT_THAT(committer_->Commit(true), IsOk());
  clock_.Advance(absl::Hours(24));
  Start();
  committer_->Tick();
  EXPECT_EQ(cases_->CountExemptions(), 1u);
  EXPECT_EQ(Told("deep.in.spam.example"), Verdict::kReject);
  EXPECT_TRUE(cases_->FindOpen(Named("login:eve@c.example"), false)->permanent());
  Fail("x.a.example", 9, absl::Hours(24));
  EXPECT_TRUE(Passes("x.a.example"));
  EXPECT_THAT(committer_->Unblock(Named("*.spam.example"), "root", ""), IsOk());
  EXPECT_TRUE(Passes("deep.in.spam.example"));
}

TEST_F(ExemptionsTest, OfPeoplesWordsTheNarrowerHolds) {
  const struct {
    const char* exempt;
    const char* block;
    bool passes;  // bob@x.a.example
  } kCases[] = {
      {"x.a.example", "*.a.example", true},
      {"login:bob@x.a.example", "x.a.example", true},
      {"x.a.example", "login:bob@x.a.example", false},
      {"*.a.example", "x.a.example", false},
      {"*.example", "*.a.example", false},
      {"*.a.example", "*.example", true},
  };
  for (const auto& one : kCases) {
    for (const bool first : {true, false}) {
      SCOPED_TRACE(absl::StrCat(one.exempt, " against ", one.block));
      Daemon fresh;
      if (first) fresh.Exempt(one.exempt);
      fresh.Block(one.block);
      if (!first) fresh.Exempt(one.exempt);
      EXPECT_EQ(fresh.Passes("x.a.example"), one.passes);
    }
  }
}

TEST_F(ExemptionsTest, OfTheSameNameTheLaterWordHolds) {
  Block("a.example");
  Exempt("a.example");
  EXPECT_TRUE(Passes("a.example")) << "an exemption ends a person's block too";
  EXPECT_EQ(cases_->Open().size(), 1u);
  Block("a.example", absl::Hours(1));
  EXPECT_FALSE(Passes("a.example"));
  EXPECT_FALSE(cases_->FindOpen(Named("a.example"), false)->permanent())
      << "a block does not last as long as the exemption would have";
}

TEST_F(ExemptionsTest, AnUnblockDoesNotEndAnExemption) {
  Exempt("a.example");
  EXPECT_FALSE(committer_->Unblock(Named("a.example"), "root", "").ok());
  EXPECT_EQ(cases_->CountExemptions(), 1u);
}

TEST_F(ExemptionsTest, WhatAnExemptLoginDidIsNotItsDomains) {
  Exempt("login:bob@a.example");
  Fail("a.example", 9);
  EXPECT_FALSE(OpenCase("a.example").has_value());
  EXPECT_THAT(committer_->EndExemption(Named("login:bob@a.example"), "root", ""), IsOk());
  Attempt other = MakeAttempt("a.example", At(absl::Minutes(10)), Outcome::kFailed);
  other.identity.login = other.identity.sender = "ann@a.example";
  Feed(other);
  EXPECT_FALSE(OpenCase("a.example").has_value());
}

// An envelope sender proves nothing: who claims to be an exempt address is who they are.
TEST_F(ExemptionsTest, AClaimedSenderExemptsNobody) {
  Exempt("login:postmaster@a.example");
  for (int i = 0; i < 6; ++i) {
    Attempt attempt = MakeAttempt("a.example", At(absl::Minutes(9)), Outcome::kFailed);
    attempt.identity.sender = i % 2 == 0 ? "postmaster@a.example" : "";
    Feed(attempt);
  }
  EXPECT_FALSE(Passes("a.example"));
}

// What a subject is told after each event, by the rules of the manual and nothing else.
struct Story {
  bool own_name = true;  // the exemption is of the subject's own name, not of "*.example"
  bool exempt = false;
  bool blocked = false;  // by a person
  std::optional<absl::Time> rule_since;
  absl::Time rule_until;
  absl::Time cleared = absl::InfinitePast();
  std::vector<absl::Time> failures;  // as many as the rule asks for at each time

  static int64_t StepOf(absl::Time t) { return absl::ToUnixSeconds(t) / 60; }
  bool AnyAfter(absl::Time now, int64_t after) const {
    return std::any_of(failures.begin(), failures.end(), [&](absl::Time one) {
      return StepOf(one) > std::max(StepOf(now) - 60, after) && one <= now;
    });
  }
  void EndDue(absl::Time now) {
    while (rule_since.has_value() && rule_until <= now) {
      const int64_t after = StepOf(*rule_since) + 1;
      if (AnyAfter(rule_until, after)) {
        rule_until += absl::Hours(1);
      } else {
        cleared = std::max(cleared, absl::FromUnixSeconds(after * 60 + 59));
        rule_since.reset();
      }
    }
  }
  void Fail(absl::Time now) {
    failures.push_back(now);
    if (exempt || blocked || rule_since.has_value()) return;
    const int64_t after = cleared == absl::InfinitePast() ? 0 : StepOf(cleared);
    if (!AnyAfter(now, after)) return;
    rule_since = now;
    rule_until = now + absl::Hours(1);
  }
  bool Exempt() {
    exempt = true;
    rule_since.reset();
    if (own_name) blocked = false;
    return true;
  }
  bool EndExemption() { return std::exchange(exempt, false); }
  bool Block() {
    blocked = true;
    rule_since.reset();
    if (own_name) exempt = false;
    return true;
  }
  bool Unblock(absl::Time now) {
    if ((!blocked && !rule_since.has_value()) || (own_name && exempt)) return false;
    blocked = false;
    rule_since.reset();
    cleared = now;
    return true;
  }
  bool passes() const { return !blocked && !rule_since.has_value(); }
};

// Every order of four events: failures, an exemption and its end, a person's block and unblock, the
// end of the block's time, a restart.
TEST(EveryOrder, TellsWhatTheManualSays) {
  constexpr absl::string_view kEvents = "FEXBUTR";
  constexpr int kLength = 4;
  int orders = 1;
  for (int i = 0; i < kLength; ++i) orders *= static_cast<int>(kEvents.size());
  for (const bool own_name : {true, false}) {
    const std::string exempted = own_name ? "a.example" : "*.example";
    for (int order = 0; order < orders; ++order) {
      // What begins with another event is an order of three.
      if (!absl::StrContains("FEB", kEvents[order % kEvents.size()])) continue;
      Daemon daemon;
      Story story{.own_name = own_name};
      std::string happened;
      int logins = 0;
      int rest = order;
      for (int i = 0; i < kLength; ++i, rest /= static_cast<int>(kEvents.size())) {
        const char event = kEvents[rest % kEvents.size()];
        happened += event;
        daemon.clock_.Advance(event == 'T' ? absl::Minutes(61) : absl::Minutes(2));
        const absl::Time now = daemon.clock_.Now();
        story.EndDue(now);
        daemon.committer_->Tick();
        const Subject name = Daemon::Named(exempted), self = Daemon::Named("a.example");
        switch (event) {
          case 'F':
            for (int n = 0; n < 5; ++n) {  // each by another login, none of which is over a limit
              Attempt attempt = LimiterFixture::MakeAttempt("a.example", now, Outcome::kFailed);
              attempt.identity.login = absl::StrCat("u", ++logins, "@a.example");
              daemon.LimiterFixture::Feed(attempt);
            }
            story.Fail(now);
            break;
          case 'E':
            daemon.Exempt(exempted);
            story.Exempt();
            break;
          case 'X':
            EXPECT_EQ(daemon.committer_->EndExemption(name, "root", "").ok(), story.EndExemption())
                << happened;
            break;
          case 'B':
            daemon.Block("a.example");
            story.Block();
            break;
          case 'U':
            EXPECT_EQ(daemon.committer_->Unblock(self, "root", "").ok(), story.Unblock(now))
                << happened;
            break;
          case 'R':
            EXPECT_THAT(daemon.committer_->Commit(true), IsOk());
            daemon.Start();
            break;
          default:
            break;
        }
        ASSERT_EQ(daemon.Passes("a.example"), story.passes())
            << happened << (own_name ? "" : ", exempt by *.example");
      }
    }
  }
}

// Against a model: a rule's block and an exemption, opened and ended at random.
TEST_F(ExemptionsTest, RandomOrdersAgreeWithTheModel) {
  for (int seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Daemon fresh;
    std::mt19937 random(seed);
    bool exempt = false, blocked = false;
    int64_t bad = 0;
    for (int step = 0; step < 60; ++step) {
      const absl::Duration at = absl::Minutes(10) + absl::Seconds(step);
      fresh.clock_.Set(At(at));
      switch (random() % 4) {
        case 0:
        case 1:
          fresh.Fail("a.example", 1, at);
          ++bad;
          if (!exempt && bad >= 3) blocked = true;
          break;
        case 2:
          if (!exempt) fresh.Exempt("*.example");
          exempt = true;
          blocked = false;
          break;
        case 3:
          EXPECT_EQ(fresh.committer_->EndExemption(Named("*.example"), "root", "").ok(), exempt);
          exempt = false;
          break;
      }
      if (random() % 8 == 0) {
        ASSERT_THAT(fresh.committer_->Commit(true), IsOk());
        fresh.Start();
      }
      ASSERT_EQ(fresh.Passes("a.example"), !blocked) << step;
    }
  }
}

}  // namespace
}  // namespace deferd
