#include "policy/judgement.h"

#include "gtest/gtest.h"
#include "policy/attempt.h"
#include "policy/counts.h"

namespace deferd {
namespace {

Policy PolicyWith(const Rule& rule) {
  Policy policy;
  policy.hash = "00112233aabbccdd";
  policy.rules = {rule};
  return policy;
}

Rule OfBad() {
  Rule rule;
  rule.name = "hourly";
  rule.min_bad = 5;
  rule.percent = 40;
  rule.window = absl::Minutes(30);
  return rule;
}

TEST(Counts, AContributionTakenOutLeavesNothing) {
  for (int i = 0; i < kCountedOutcomes; ++i) {
    Counts counts;
    counts.Add(static_cast<CountedOutcome>(i), 3);
    EXPECT_NE(counts, Counts()) << i;
    counts.Add(static_cast<CountedOutcome>(i), -3);
    EXPECT_EQ(counts, Counts()) << i;
  }
}

TEST(Counts, SurplusIsDeliveredToo) {
  Counts counts;
  counts.Add(CountedOutcome::kSurplus, 10);
  counts.Add(CountedOutcome::kDelivered);
  counts.Add(CountedOutcome::kFailed);
  EXPECT_EQ(counts, (Counts{.delivered = 11, .failed = 1, .surplus = 10}));
  EXPECT_EQ(counts.percent(), 8);
  EXPECT_EQ(counts.judged_percent(), 50);
}

TEST(Counts, RejectedRecipientsAreInNoTotal) {
  Counts counts;
  counts.Add(CountedOutcome::kRejected, 4);
  EXPECT_EQ(counts.total(), 0);
  EXPECT_EQ(counts.OfRejected().bad(), 4);
}

TEST(Counts, ExpiredCountsAsFailed) {
  EXPECT_EQ(CountedAs(Outcome::kExpired), CountedOutcome::kFailed);
  EXPECT_EQ(CountedAs(Outcome::kFailed), CountedOutcome::kFailed);
  EXPECT_EQ(CountedAs(Outcome::kDeferred), CountedOutcome::kDeferred);
  EXPECT_EQ(CountedAs(Outcome::kDelivered), CountedOutcome::kDelivered);
  EXPECT_EQ(CountedAs(Outcome::kRejectedRecipient), CountedOutcome::kRejected);
}

TEST(Judgement, KeepsWhatTheRuleCompared) {
  const Rule rule = OfBad();
  const Policy policy = PolicyWith(rule);
  const Judgement made = JudgementOf(
      Evaluate(rule, {.delivered = 20, .deferred = 4, .failed = 3, .surplus = 10}), policy);
  EXPECT_EQ(made.rule, "hourly");
  EXPECT_EQ(made.policy_hash, policy.hash);
  EXPECT_EQ(made.window, absl::Minutes(30));
  EXPECT_EQ(made.bad(), 7);
  EXPECT_EQ(made.bad_of(), 17) << "without the surplus";
  EXPECT_EQ(made.percent, 41);
}

TEST(Judgement, OfRejectedRecipientsHasTheseAsBad) {
  Rule rule = OfBad();
  rule.measure.what = Measure::What::kRejected;
  const Judgement made =
      JudgementOf(Evaluate(rule, {.delivered = 2, .failed = 2, .rejected = 6}), PolicyWith(rule));
  EXPECT_EQ(made.bad(), 6);
  EXPECT_EQ(made.bad_of(), 10);
}

// The rule made of a judgement trips at the same counts as the one that it was made by.
TEST(Judgement, ItsRuleJudgesAsTheOriginal) {
  Rule any_share = OfBad();
  any_share.percent = 0;
  any_share.any_share = true;
  Rule rejected = OfBad();
  rejected.measure.what = Measure::What::kRejected;
  for (const Rule& rule : {OfBad(), any_share, rejected}) {
    const Rule again = RuleOf(JudgementOf(Evaluate(rule, Counts()), PolicyWith(rule)));
    for (int64_t n = 0; n < 8; ++n) {
      for (const Counts& counts : {Counts{.delivered = 6, .failed = n},
                                   Counts{.delivered = 9, .deferred = n, .surplus = 8},
                                   Counts{.delivered = 9, .rejected = n}}) {
        EXPECT_EQ(Evaluate(again, counts).tripped, Evaluate(rule, counts).tripped) << n;
        EXPECT_EQ(Evaluate(again, counts).percent, Evaluate(rule, counts).percent) << n;
      }
    }
  }
}

TEST(Judgement, SameLimitsWhateverTheCounts) {
  const Rule rule = OfBad();
  const Judgement one = JudgementOf(Evaluate(rule, {.failed = 9}), PolicyWith(rule));
  EXPECT_TRUE(SameLimits(one, JudgementOf(Evaluate(rule, {.delivered = 9}), PolicyWith(rule))));
  const auto differs = [&](auto change) {
    Judgement other = one;
    change(&other);
    return !SameLimits(one, other);
  };
  EXPECT_TRUE(differs([](Judgement* j) { j->rule = "daily"; }));
  EXPECT_TRUE(differs([](Judgement* j) { j->min_bad = 6; }));
  EXPECT_TRUE(differs([](Judgement* j) { j->measure.what = Measure::What::kRejected; }));
  EXPECT_TRUE(differs([](Judgement* j) { j->percent_limit = 41; }));
  EXPECT_TRUE(differs([](Judgement* j) { j->window = absl::Hours(1); }));
  EXPECT_TRUE(differs([](Judgement* j) { j->policy_hash = "ffeeddccbbaa9988"; }));
}

TEST(Rule, IsTheSameWhereverItStands) {
  Rule moved = OfBad();
  moved.line = 90;
  EXPECT_TRUE(SameRule(OfBad(), moved));
  moved.warn_at = 0.5;
  EXPECT_FALSE(SameRule(OfBad(), moved));
}

}  // namespace
}  // namespace deferd
