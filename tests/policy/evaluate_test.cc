#include "policy/evaluate.h"

#include <limits>

#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::ElementsAre;

Rule RuleOf(int64_t min_bad, int percent) {
  Rule rule;
  rule.name = "rule";
  rule.min_bad = min_bad;
  rule.percent = percent;
  return rule;
}

Action Everywhere(Verdict verdict) {
  Action action;
  action.by_source.fill(verdict);
  return action;
}

struct EvaluateCase {
  std::string name;
  int64_t min_bad;
  int percent_limit;
  Counts counts;
  int percent;
  bool tripped;
};
void PrintTo(const EvaluateCase& c, std::ostream* out) { *out << c.name; }

class EvaluateTest : public testing::TestWithParam<EvaluateCase> {};

TEST_P(EvaluateTest, ComparesBothWithTheirLimits) {
  const EvaluateCase& c = GetParam();
  const Rule rule = RuleOf(c.min_bad, c.percent_limit);
  const Decision decision = Evaluate(rule, c.counts);
  EXPECT_EQ(decision.tripped, c.tripped);
  EXPECT_EQ(decision.percent, c.percent);
  EXPECT_EQ(decision.counts, c.counts);
  EXPECT_EQ(decision.rule, &rule);
}

// The worked table of the system that deferd replaces: threshold 55 %, minimum 7.
INSTANTIATE_TEST_SUITE_P(
    VendorTable, EvaluateTest,
    testing::Values(EvaluateCase{"Bad2Ok2", 7, 55, {2, 1, 1}, 50, false},
                    EvaluateCase{"Bad6Ok5PercentOnly", 7, 55, {5, 3, 3}, 55, false},
                    EvaluateCase{"Bad6Ok7", 7, 55, {7, 6, 0}, 46, false},
                    EvaluateCase{"Bad7Ok7CountOnly", 7, 55, {7, 0, 7}, 50, false},
                    EvaluateCase{"Bad8Ok7CountOnly", 7, 55, {7, 4, 4}, 53, false},
                    EvaluateCase{"Bad9Ok7Blocked", 7, 55, {7, 5, 4}, 56, true}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Edges, EvaluateTest,
    testing::Values(EvaluateCase{"EmptyWindow", 1, 1, {0, 0, 0}, 0, false},
                    EvaluateCase{"SurplusDoesNotDilute", 5, 50, {1000, 0, 40, 970}, 57, true},
                    EvaluateCase{"AllOthersDo", 5, 50, {1000, 0, 40, 930}, 36, false},
                    EvaluateCase{"SurplusIsNothingBad", 1, 1, {9, 0, 0, 9}, 0, false},
                    EvaluateCase{"OnlyDelivered", 1, 1, {9, 0, 0}, 0, false},
                    EvaluateCase{"CountOneBelow", 5, 50, {0, 4, 0}, 100, false},
                    EvaluateCase{"CountEqual", 5, 50, {0, 5, 0}, 100, true},
                    EvaluateCase{"CountAbove", 5, 50, {0, 3, 3}, 100, true},
                    EvaluateCase{"PercentOneBelow", 5, 50, {51, 49, 0}, 49, false},
                    EvaluateCase{"PercentEqual", 5, 50, {50, 25, 25}, 50, true},
                    EvaluateCase{"PercentAbove", 5, 50, {49, 51, 0}, 51, true},
                    EvaluateCase{"BothEqual", 5, 50, {5, 5, 0}, 50, true},
                    EvaluateCase{"BothOneBelow", 5, 50, {5, 4, 0}, 44, false},
                    EvaluateCase{"HalfRoundsUp", 1, 55, {91, 109, 0}, 55, true},
                    EvaluateCase{"BelowHalfRoundsDown", 1, 55, {4551, 5449, 0}, 54, false},
                    EvaluateCase{"RoundsUpToTheLimit", 1, 55, {4550, 5450, 0}, 55, true},
                    EvaluateCase{"HalfAPercent", 1, 1, {199, 1, 0}, 1, true},
                    EvaluateCase{"BelowHalfAPercent", 1, 1, {200, 1, 0}, 0, false},
                    EvaluateCase{"HundredIsReachedByRounding", 1, 100, {1, 199, 0}, 100, true},
                    EvaluateCase{"HundredIsNotReached", 1, 100, {1, 198, 0}, 99, false},
                    EvaluateCase{"RuleOff", 1, 0, {0, 1000, 1000}, 100, false},
                    EvaluateCase{"RuleOffEmptyWindow", 0, 0, {0, 0, 0}, 0, false},
                    EvaluateCase{"Huge", 1, 50, {int64_t{1} << 40, int64_t{1} << 40, 0}, 50, true}),
    [](const auto& test) { return test.param.name; });

class RulesTest : public testing::Test {
 protected:
  Rule& Add(const std::string& name, Verdict verdict, bool shadow = false) {
    Rule rule = RuleOf(1, 1);
    rule.name = name;
    rule.action = Everywhere(verdict);
    rule.shadow = shadow;
    policy_.rules.push_back(rule);
    return policy_.rules.back();
  }

  std::string StrictestName(bool shadow) {
    const std::vector<Decision> decisions = EvaluateAll(policy_, subject_, [](const Rule&) {
      return Counts{0, 1, 0};
    });
    const Decision* decision = Strictest(policy_, decisions, shadow);
    return decision == nullptr ? "" : decision->rule->name;
  }

  Policy policy_;
  Subject subject_ = {SubjectKind::kDomain, "example.com"};
};

TEST_F(RulesTest, JudgesEachRuleInItsOwnWindow) {
  Add("hour", Verdict::kHold);
  Add("day", Verdict::kHold).window = absl::Hours(24);
  Add("login", Verdict::kHold).kind = SubjectKind::kLogin;
  std::vector<absl::Duration> asked;
  const std::vector<Decision> decisions = EvaluateAll(policy_, subject_, [&](const Rule& rule) {
    asked.push_back(rule.window);
    return rule.window == absl::Hours(1) ? Counts{1, 0, 0} : Counts{0, 0, 3};
  });
  EXPECT_THAT(asked, ElementsAre(absl::Hours(1), absl::Hours(24)));
  ASSERT_EQ(decisions.size(), 2u);
  EXPECT_EQ(decisions[0].rule->name, "hour");
  EXPECT_FALSE(decisions[0].tripped);
  EXPECT_EQ(decisions[1].rule->name, "day");
  EXPECT_TRUE(decisions[1].tripped);
}

TEST_F(RulesTest, StrictestActionNamesTheCase) {
  Add("hold", Verdict::kHold);
  Add("discard", Verdict::kDiscard);
  Add("reject", Verdict::kReject);
  EXPECT_EQ(StrictestName(false), "discard");
}

TEST_F(RulesTest, FirstInTheFileWinsATie) {
  Add("pass", Verdict::kPass);
  Add("first", Verdict::kReject);
  Add("second", Verdict::kReject);
  EXPECT_EQ(StrictestName(false), "first");
}

TEST_F(RulesTest, OneSourceIsEnoughToBeStrict) {
  Add("hold", Verdict::kHold);
  Add("mixed", Verdict::kPass).action.by_source[static_cast<int>(Source::kRelay)] =
      Verdict::kReject;
  EXPECT_EQ(StrictestName(false), "mixed");
}

TEST_F(RulesTest, RulesThatDidNotTripAreNoCandidates) {
  Add("strict", Verdict::kDiscard).min_bad = 2;
  EXPECT_EQ(StrictestName(false), "");
  Add("mild", Verdict::kHold);
  EXPECT_EQ(StrictestName(false), "mild");
}

TEST_F(RulesTest, ShadowRulesStayApart) {
  Add("shadow", Verdict::kDiscard, /*shadow=*/true);
  Add("enforced", Verdict::kHold);
  EXPECT_EQ(StrictestName(false), "enforced");
  EXPECT_EQ(StrictestName(true), "shadow");
}

TEST_F(RulesTest, ModeShadowPutsAllRulesInShadow) {
  Add("enforced", Verdict::kReject);
  Add("shadow", Verdict::kHold, /*shadow=*/true);
  policy_.mode = Mode::kShadow;
  EXPECT_EQ(StrictestName(false), "");
  EXPECT_EQ(StrictestName(true), "enforced");
}

TEST_F(RulesTest, NoRulesNoDecision) { EXPECT_EQ(StrictestName(false), ""); }

TEST(Evaluate, IsNearAtTheShareOfBothLimits) {
  Rule rule = RuleOf(10, 50);
  const auto near = [&rule](const Counts& counts) { return Evaluate(rule, counts).near; };
  EXPECT_FALSE(near({0, 0, 9})) << "warns of nothing";
  rule.warn_at = 0.7;
  EXPECT_FALSE(near({0, 0, 6}));
  EXPECT_TRUE(near({0, 0, 7}));
  EXPECT_TRUE(near({0, 4, 5}));
  EXPECT_FALSE(near({0, 0, 10})) << "tripped";
  EXPECT_TRUE(near({13, 0, 7})) << "35 percent";
  EXPECT_FALSE(near({14, 0, 7})) << "33 percent";
  EXPECT_TRUE(near({30, 0, 18})) << "enough bad ones, 38 percent";
  rule.any_share = true;
  rule.percent = 0;
  EXPECT_TRUE(near({1'000'000, 0, 7}));
  rule.any_share = false;
  EXPECT_FALSE(near({0, 0, 7})) << "off";
}

TEST(Evaluate, WhatNoShareMakesUpForIsJudgedByItsCount) {
  Rule rule = RuleOf(100, 0);
  EXPECT_FALSE(Evaluate(rule, {0, 0, 500}).tripped) << "off";
  rule.any_share = true;
  EXPECT_FALSE(Evaluate(rule, {0, 0, 99}).tripped);
  EXPECT_TRUE(Evaluate(rule, {100'000'000, 0, 100}).tripped);
  EXPECT_EQ(Evaluate(rule, {100'000'000, 0, 100}).percent, 0);
}

TEST(Evaluate, ARuleCountsWhatItsMeasureSays) {
  const Measure content = ParseMeasure("bad_of_classes", {"content", "policy"});
  const Measure sent = {Measure::What::kSentMessages};
  const Measure to = {Measure::What::kSentRecipients};
  const Counts mixed = {.delivered = 80,
                        .deferred = 5,
                        .failed = 15,
                        .sent = 60,
                        .sent_recipients = 240,
                        .classed = 4};
  const struct {
    const char* name;
    Measure measure;
    int64_t least;
    int percent;
    int64_t bad;
    int shown;
    bool tripped;
  } kCases[] = {
      {"all", {}, 20, 20, 20, 20, true},
      {"classes reached", content, 4, 0, 4, 4, true},
      {"classes not reached", content, 5, 0, 4, 4, false},
      {"their share is of all that counts", content, 3, 5, 4, 4, false},
      {"classes with a share", content, 3, 4, 4, 4, true},
      {"below what may be sent", sent, 61, 0, 60, 98, false},
      {"as many as may be sent", sent, 60, 0, 60, 100, true},
      {"more", sent, 40, 0, 60, 150, true},
      {"recipients", to, 100, 0, 240, 240, true},
      {"rejected ones are others", {Measure::What::kRejected}, 1, 1, 0, 0, false},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    Rule rule = RuleOf(c.least, c.percent);
    rule.any_share = c.percent == 0;
    rule.measure = c.measure;
    const Decision decision = Evaluate(rule, mixed);
    EXPECT_EQ(decision.bad, c.bad);
    EXPECT_EQ(decision.percent, c.shown);
    EXPECT_EQ(decision.tripped, c.tripped);
  }
}

TEST(Evaluate, DistinctRecipientsAreAFurtherLimit) {
  Rule rule = RuleOf(10, 50);
  rule.min_recipients = 8;
  EXPECT_FALSE(Evaluate(rule, {.failed = 50, .recipients = 7}).tripped);
  EXPECT_TRUE(Evaluate(rule, {.failed = 50, .recipients = 8}).tripped);
  EXPECT_FALSE(Evaluate(rule, {.failed = 9, .recipients = 8}).tripped);
  rule.warn_at = 0.5;
  EXPECT_FALSE(Evaluate(rule, {.failed = 9, .recipients = 3}).near);
  EXPECT_TRUE(Evaluate(rule, {.failed = 9, .recipients = 4}).near);
}

TEST(Evaluate, AShareIsANumberWhateverWasCounted) {
  const Measure sent = {Measure::What::kSentMessages};
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(JudgedPercent(sent, {.sent = kLeast}, 3), 0);
  EXPECT_EQ(JudgedPercent(sent, {.sent = 5}, kLeast), 0);
  EXPECT_EQ(JudgedPercent(sent, {.sent = std::numeric_limits<int64_t>::max()}, 1), 1'000'000);
}

TEST(Evaluate, TheCutoffIsBeyondWhatMayBeSent) {
  Rule rule = RuleOf(100, 0);
  rule.any_share = true;
  rule.measure.what = Measure::What::kSentMessages;
  rule.cutoff = 125;
  EXPECT_FALSE(Evaluate(rule, {.sent = 99}).tripped);
  EXPECT_TRUE(Evaluate(rule, {.sent = 100}).tripped);
  EXPECT_FALSE(Evaluate(rule, {.sent = 124}).beyond);
  EXPECT_TRUE(Evaluate(rule, {.sent = 125}).beyond);
}

}  // namespace
}  // namespace deferd
