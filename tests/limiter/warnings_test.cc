// warn_at: who is told that a rule is near, when, and how often; and that tags, substitutes and
// exemptions hold when mail is counted.

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class WarningObserver : public Observer {
 public:
  void OnWarning(const Warning& warning) override { warnings_.push_back(warning); }
  std::vector<Warning> warnings_;
};

class WarningsTest : public testing::Test {
 protected:
  void Use(const std::string& policy) {
    settings_ = {LimiterFixture::ParsedPolicy(policy), std::make_shared<ChargeLists>()};
    limiter_ = std::make_unique<Limiter>(LimiterOptions{}, settings_, &clock_, &cases_);
  }
  void Feed(const std::string& domain, absl::Duration at, Outcome outcome, int n = 1) {
    for (int i = 0; i < n; ++i) {
      EventBatch batch;
      *batch.Add() = {LogEvent::Kind::kAttempt,
                      LimiterFixture::MakeAttempt(domain, At(at), outcome)};
      limiter_->Record(batch).Notify(&observer_);
    }
  }
  std::vector<std::string> Told() const {
    std::vector<std::string> told;
    for (const Warning& one : observer_.warnings_) {
      told.push_back(absl::StrCat(one.subject.ToString(), " ", one.rule, " ", one.bad(), " ",
                                  one.percent, "%", one.shadow ? " shadow" : ""));
    }
    return told;
  }

  ManualClock clock_{kMorning + absl::Hours(3)};
  CaseTable cases_;
  Settings settings_;
  std::unique_ptr<Limiter> limiter_;
  WarningObserver observer_;
};

constexpr char kRatio[] = "[rule.ratio]\nmin_bad = 10\npercent = 50\nwarn_at = 0.7\n";

TEST_F(WarningsTest, AtTheShareOfBothLimitsAndOnceAWindow) {
  Use(kRatio);
  Feed("a.example", absl::Minutes(0), Outcome::kDelivered, 10);
  Feed("a.example", absl::Minutes(1), Outcome::kFailed, 6);
  EXPECT_THAT(Told(), IsEmpty());
  Feed("a.example", absl::Minutes(2), Outcome::kFailed, 3);
  EXPECT_THAT(Told(), ElementsAre("a.example ratio 7 41%"));
  EXPECT_FALSE(cases_.FindOpen({SubjectKind::kDomain, "a.example"}, false).has_value());
  Feed("a.example", absl::Minutes(70), Outcome::kFailed, 7);
  EXPECT_EQ(Told().size(), 2u) << "in another window it is told again";
}

TEST_F(WarningsTest, AShareThatIsTooSmallWarnsOfNothing) {
  Use(kRatio);
  Feed("a.example", absl::Minutes(0), Outcome::kDelivered, 100);
  Feed("a.example", absl::Minutes(1), Outcome::kFailed, 30);
  EXPECT_THAT(Told(), IsEmpty()) << "23 percent";
}

TEST_F(WarningsTest, WhatTripsAtOnceIsNoWarning) {
  Use("[rule.one]\nmin_bad = 1\npercent = 50\nwarn_at = 0.9\n");
  Feed("a.example", absl::Minutes(0), Outcome::kFailed);
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_TRUE(cases_.FindOpen({SubjectKind::kDomain, "a.example"}, false).has_value());
}

TEST_F(WarningsTest, SaysWhenTheRuleIsReachedAtThisPace) {
  Use(kRatio);
  for (int minute = 0; minute < 7; ++minute) {
    Feed("a.example", absl::Minutes(minute), Outcome::kFailed);
  }
  ASSERT_EQ(Told().size(), 1u);
  const Warning& warning = observer_.warnings_[0];
  ASSERT_TRUE(warning.expected.has_value());
  EXPECT_EQ(*warning.expected - warning.at, absl::Minutes(7)) << "3 more, at 7 in 15 minutes";
}

TEST_F(WarningsTest, ShadowWarnsAsShadow) {
  Use("mode = \"shadow\"\n" + std::string(kRatio));
  Feed("a.example", absl::Minutes(0), Outcome::kFailed, 8);
  EXPECT_THAT(Told(), ElementsAre("a.example ratio 7 100% shadow"));
}

TEST_F(WarningsTest, NoneForWhoIsExemptOrJudgedByAnotherRule) {
  Use(std::string(kRatio) +
      "[rule.newsletter]\ndomains = \"news.example\"\ninstead_of = \"ratio\"\n"
      "min_bad = 100\npercent = 50\n[exempt.some]\ndomains = \"free.example\"\nreason = \"test\"\n"
      "until = \"2026-11-22T10:00:00Z\"\n");
  Feed("news.example", absl::Minutes(0), Outcome::kFailed, 20);
  Feed("free.example", absl::Minutes(1), Outcome::kFailed, 20);
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_FALSE(cases_.FindOpen({SubjectKind::kDomain, "news.example"}, false).has_value());
  EXPECT_FALSE(cases_.FindOpen({SubjectKind::kDomain, "free.example"}, false).has_value());
  Feed("free.example", absl::Minutes(130), Outcome::kFailed, 10);
  EXPECT_TRUE(cases_.FindOpen({SubjectKind::kDomain, "free.example"}, false).has_value())
      << "the exemption has ended";
  Feed("news.example", absl::Minutes(131), Outcome::kFailed, 100);
  EXPECT_EQ(cases_.FindOpen({SubjectKind::kDomain, "news.example"}, false)->rule, "newsletter");
}

TEST_F(WarningsTest, AReloadEndsTheBlockOfARuleThatIsNotForTheSubjectAnyMore) {
  clock_.Set(At(absl::Minutes(5)));
  Use(kRatio);
  Feed("a.example", absl::Minutes(1), Outcome::kFailed, 10);
  Feed("b.example", absl::Minutes(1), Outcome::kFailed, 10);
  const Subject a{SubjectKind::kDomain, "a.example"}, b{SubjectKind::kDomain, "b.example"};
  ASSERT_TRUE(cases_.FindOpen(a, false).has_value());
  settings_.policy =
      LimiterFixture::ParsedPolicy(std::string(kRatio) +
                                   "[rule.loose]\ndomains = \"a.example\"\ninstead_of = \"ratio\"\n"
                                   "min_bad = 100\npercent = 50\n");
  limiter_->SetSettings(settings_).Notify(&observer_);
  EXPECT_FALSE(cases_.FindOpen(a, false).has_value());
  EXPECT_TRUE(cases_.FindOpen(b, false).has_value());
}

// Random streams against the plain list of what was fed.
TEST_F(WarningsTest, AgreesWithAnOracle) {
  clock_.Set(kMorning + absl::Hours(30));
  Use("count = \"attempts\"\n[rule.far]\nmin_bad = 1000\npercent = 50\nwarn_at = 0.01\n");
  struct Fed {
    int64_t step;
    bool bad;
  };
  std::minstd_rand random(20);
  std::vector<Fed> fed[3];
  absl::Time warned[3];
  std::vector<std::string> expected;
  int64_t second = 0;
  for (int i = 0; i < 3000; ++i) {
    second += static_cast<int64_t>(random() % 60);
    const size_t domain = random() % 3;
    const bool bad = random() % 100 < 10 + 30 * domain;
    const absl::Time at = At(absl::Seconds(second));
    Feed(absl::StrCat("d", domain, ".example"), absl::Seconds(second),
         bad ? Outcome::kFailed : Outcome::kDelivered);
    fed[domain].push_back({absl::ToUnixSeconds(at) / 60, bad});
    if (!bad) continue;
    int64_t all = 0, failed = 0;
    for (const Fed& one : fed[domain]) {
      if (one.step <= absl::ToUnixSeconds(at) / 60 - 60) continue;
      ++all;
      failed += one.bad ? 1 : 0;
    }
    const int64_t percent = (200 * failed + all) / (2 * all);
    if (failed < 10 || static_cast<double>(percent) < 0.5) continue;
    if (warned[domain] != absl::Time() && at - warned[domain] < absl::Hours(1)) continue;
    warned[domain] = at;
    expected.push_back(absl::StrCat("d", domain, ".example far ", failed, " ", percent, "%"));
  }
  EXPECT_GT(expected.size(), 10u);
  EXPECT_EQ(Told(), expected);
}

}  // namespace
}  // namespace deferd
