#include "policy/policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

DomainPattern Pattern(absl::string_view text) { return DomainPattern::Parse(text).value(); }
Subject Of(absl::string_view text) { return Subject::Parse(text).value(); }

TEST(Verdict, ComesBackFromItsName) {
  for (Verdict verdict : {Verdict::kPass, Verdict::kHold, Verdict::kReject, Verdict::kDiscard}) {
    EXPECT_EQ(ParseVerdict(VerdictName(verdict)).value(), verdict);
  }
  EXPECT_THAT(ParseVerdict("deny"), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("use pass, hold, reject or discard")));
  EXPECT_FALSE(ParseVerdict("").ok());
}

TEST(Source, ComesBackFromItsName) {
  for (Source source : {Source::kSubmission, Source::kLocal, Source::kQueued, Source::kRelay}) {
    EXPECT_EQ(ParseSource(SourceName(source)).value(), source);
  }
  EXPECT_THAT(ParseSource("smtp"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("use submission, local, queued or relay")));
}

TEST(Action, IsOneWordIfAllAreTheSame) {
  Action action;
  EXPECT_EQ(action.ToString(), "submission=reject local=hold queued=hold relay=hold");
  EXPECT_EQ(action.Strictest(), Verdict::kReject);
  EXPECT_EQ(action.For(Source::kQueued), Verdict::kHold);
  action.by_source.fill(Verdict::kHold);
  EXPECT_EQ(action.ToString(), "hold");
  EXPECT_EQ(action.Strictest(), Verdict::kHold);
}

TEST(Rule, IsForItsKindAndDomains) {
  Rule rule;
  EXPECT_TRUE(rule.AppliesTo(Of("example.com")));
  EXPECT_FALSE(rule.AppliesTo(Of("login:bob@example.com")));
  rule.who.listed.domains = {Pattern("example.com"), Pattern("*.example.net")};
  EXPECT_TRUE(rule.AppliesTo(Of("example.com")));
  EXPECT_TRUE(rule.AppliesTo(Of("a.example.net")));
  EXPECT_FALSE(rule.AppliesTo(Of("example.net")));
  rule.kind = SubjectKind::kLogin;
  EXPECT_TRUE(rule.AppliesTo(Of("login:bob@example.com")));
  EXPECT_FALSE(rule.AppliesTo(Of("login:bob@example.org")));
  EXPECT_FALSE(rule.AppliesTo(Of("login:bob")));
  rule.who.listed.domains.clear();
  rule.unhosted = true;
  EXPECT_TRUE(rule.AppliesTo(Of("login:bob@web1"), /*alone=*/true));
  EXPECT_FALSE(rule.AppliesTo(Of("login:bob@example.com")));
  rule.unhosted = false;
  EXPECT_FALSE(rule.AppliesTo(Of("example.com")));
  rule.kind = SubjectKind::kForward;
  EXPECT_TRUE(rule.AppliesTo(Of("forward:example.com")));
  rule.kind = SubjectKind::kAccount;
  rule.who.listed.domains = {Pattern("example.com")};
  EXPECT_FALSE(rule.AppliesTo(Of("account:web1")));
  EXPECT_TRUE(rule.AppliesTo(Of("account:web1"), false, "example.com")) << "charged inside of it";
}

TEST(Policy, ExemptsByDomainPart) {
  Policy policy;
  EXPECT_FALSE(policy.Exempts(Of("example.com"), absl::UnixEpoch()));
  policy.exempt = {Pattern("example.com"), Pattern("*.example.net")};
  EXPECT_TRUE(policy.Exempts(Of("example.com"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(Of("a.example.net"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(Of("login:bob@example.com"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(Of("account:bob@example.com"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(Of("forward:example.com"), absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts(Of("login:bob"), absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts(Of("account:example.com"), absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts(Of("example.org"), absl::UnixEpoch()));
}

TEST(Policy, WindowsAreDistinctAndInOrder) {
  Policy policy;
  EXPECT_THAT(policy.Windows(), ElementsAre(absl::Hours(1)));
  for (absl::Duration window :
       {absl::Hours(24), absl::Hours(1), absl::Hours(24), absl::Minutes(10)}) {
    policy.rules.emplace_back().window = window;
  }
  EXPECT_THAT(policy.Windows(), ElementsAre(absl::Hours(24), absl::Hours(1), absl::Minutes(10)));
}

std::string BlockAction(const std::vector<Rule>& rules, const char* subject) {
  Policy policy;
  policy.rules = rules;
  return policy.ActionOfBlock(*Subject::Parse(subject)).ToString();
}

Rule WithAction(Verdict verdict, SubjectKind kind = SubjectKind::kDomain) {
  Rule rule;
  rule.percent = 50;
  rule.action.by_source.fill(verdict);
  rule.kind = kind;
  return rule;
}

TEST(PolicyTest, ABlockActsAsTheStrictestRuleThatJudgesTheSubject) {
  const std::string usual = Action().ToString();
  EXPECT_EQ(BlockAction({}, "a.example"), usual);
  const Rule hold = WithAction(Verdict::kHold), discard = WithAction(Verdict::kDiscard);
  EXPECT_EQ(BlockAction({hold}, "a.example"), "hold");
  EXPECT_EQ(BlockAction({hold, discard}, "a.example"), "discard");
  Rule elsewhere = discard;
  elsewhere.who.listed.domains = {*DomainPattern::Parse("b.example")};
  EXPECT_EQ(BlockAction({hold, elsewhere}, "a.example"), "hold");
  EXPECT_EQ(BlockAction({elsewhere}, "a.example"), "discard") << "better than none of the policy's";
  Rule trial = discard;
  trial.shadow = true;
  EXPECT_EQ(BlockAction({trial, hold}, "a.example"), "hold");
  EXPECT_EQ(BlockAction({trial}, "a.example"), "discard")
      << "the policy is on trial, the block is not";
  Rule off = discard;
  off.percent = 0;
  EXPECT_EQ(BlockAction({off, hold}, "a.example"), "hold");
  EXPECT_EQ(BlockAction({WithAction(Verdict::kPass)}, "a.example"), usual);
  EXPECT_EQ(
      BlockAction({hold, WithAction(Verdict::kReject, SubjectKind::kLogin)}, "login:bob@a.example"),
      "reject");
  EXPECT_EQ(BlockAction({hold, elsewhere}, "login:bob@b.example"), "discard")
      << "by its domain's rules";
}

}  // namespace
}  // namespace deferd
