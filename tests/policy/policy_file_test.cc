#include "policy/policy_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/duration.h"
#include "policy/evaluate.h"
#include "policy/policy_keys.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::HasSubstr;

const std::string kFiles = TestData("policy");

std::string Contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " is missing";
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The stems of all files in a folder, whatever their extension.
std::vector<std::string> Stems(const std::string& folder) {
  std::set<std::string> stems;
  for (const auto& entry : std::filesystem::directory_iterator(absl::StrCat(kFiles, "/", folder))) {
    stems.insert(entry.path().stem().string());
  }
  return {stems.begin(), stems.end()};
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// What a policy means, as a person would list it.
std::string Described(const Policy& policy) {
  std::string text =
      absl::StrCat("mode ", ModeName(policy.mode), "\nprofile ",
                   policy.profile == Profile::kCpanel ? "cpanel" : "fair", "\ncount ",
                   policy.count == CountMode::kAttempts ? "attempts" : "once", "\n");
  if (!policy.text.empty()) absl::StrAppend(&text, "text ", policy.text, "\n");
  auto patterns = [](const DomainSet& domains) {
    std::string list;
    for (const DomainPattern& domain : domains) absl::StrAppend(&list, " ", domain.ToString());
    return list;
  };
  auto names = [&](const Selection& who) {
    std::string list = patterns(who.listed.domains);
    auto subjects = [&list](const NameList& listed) {
      std::set<std::string> sorted;
      for (const Subject& subject : listed.subjects) sorted.insert(subject.ToString());
      for (const std::string& subject : sorted) absl::StrAppend(&list, " ", subject);
    };
    subjects(who.listed);
    for (const auto& tag : who.tags) absl::StrAppend(&list, " tag:", tag->name);
    if (!who.except.empty()) absl::StrAppend(&list, " except", patterns(who.except.domains));
    subjects(who.except);
    return list;
  };
  for (const auto& tag : policy.tags) {
    absl::StrAppend(&text, "tag ", tag->name, names(tag->names), "\n");
  }
  for (const Rule& rule : policy.rules) {
    absl::StrAppend(&text, "rule ", rule.name, rule.off() ? " off" : "",
                    rule.shadow ? " shadow" : "", "\n  ", rule.min_bad, " and ",
                    rule.any_share ? std::string("any share") : absl::StrCat(rule.percent, "%"),
                    " in ", deferd::FormatDuration(rule.window), ", for ",
                    deferd::FormatDuration(rule.block_for), "\n  ", rule.action.ToString(),
                    "\n  kind ", SubjectKindName(rule.kind), rule.unhosted ? " unhosted" : "",
                    names(rule.who), "\n");
    if (!(rule.measure == Measure()) || rule.min_recipients > 0) {
      absl::StrAppend(&text, "  counts ", LimitsText(rule), "\n");
    }
    for (const std::string& other : rule.instead_of) {
      absl::StrAppend(&text, "  instead of ", other, "\n");
    }
  }
  absl::StrAppend(&text, "exempt", patterns(policy.exempt), "\n");
  for (const Exemption& one : policy.exemptions) {
    absl::StrAppend(&text, "exempt ", one.name, names(one.who), " (", one.by, ": ", one.reason,
                    ")\n");
  }
  return text;
}

std::string Rules(Policy policy) {
  policy.mode = Mode::kEnforce;
  return Described(policy);
}

class BadPolicyTest : public testing::TestWithParam<std::string> {};

TEST_P(BadPolicyTest, SaysWhatIsWrongAndWhere) {
  const std::string stem = absl::StrCat(kFiles, "/bad/", GetParam());
  absl::StatusOr<Policy> policy = ParsePolicy(Contents(stem + ".toml"), GetParam() + ".toml");
  const std::string expected = Contents(stem + ".error");
  ASSERT_EQ(policy.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(absl::StrCat(policy.status().message(), "\n"), expected);
}

INSTANTIATE_TEST_SUITE_P(Files, BadPolicyTest, testing::ValuesIn(Stems("bad")), TestName);

class GoodPolicyTest : public testing::TestWithParam<std::string> {};

TEST_P(GoodPolicyTest, MeansWhatItSays) {
  const std::string stem = absl::StrCat(kFiles, "/good/", GetParam());
  absl::StatusOr<Policy> policy = ParsePolicy(Contents(stem + ".toml"), GetParam() + ".toml");
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(Described(*policy), Contents(stem + ".meaning"));
}

INSTANTIATE_TEST_SUITE_P(Files, GoodPolicyTest, testing::ValuesIn(Stems("good")), TestName);

TEST(PolicyKeys, TheDefaultsOfTheManualAreTheDefaults) {
  std::string text;
  std::string table;
  for (const TomlKeyInfo& info : PolicyKeys()) {
    const std::string value = LiteralDefault(info);
    if (value.empty()) continue;
    if (info.key == "sent") continue;  // of a rule with max_sent, below
    if (info.table != table) {
      ASSERT_EQ(info.table, "[rule.NAME]");
      absl::StrAppend(&text, "[rule.one]\n");
      table = std::string(info.table);
    }
    absl::StrAppend(&text, info.key, " = ", value, "\n");
  }
  absl::StatusOr<Policy> written = ParsePolicy(text, "p");
  absl::StatusOr<Policy> policy = ParsePolicy("[rule.one]\n", "p");
  ASSERT_THAT(written, IsOk());
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(written->mode, policy->mode);
  EXPECT_EQ(written->profile, policy->profile);
  EXPECT_EQ(written->count, policy->count);
  EXPECT_EQ(written->hold_max, policy->hold_max);
  EXPECT_EQ(written->hold_limit, policy->hold_limit);
  EXPECT_EQ(written->release_auto_max, policy->release_auto_max);
  const Rule& rule = written->rules.front();
  EXPECT_EQ(rule.window, policy->rules.front().window);
  EXPECT_EQ(rule.block_for, policy->rules.front().block_for);
  EXPECT_EQ(rule.any_share, policy->rules.front().any_share);
  EXPECT_EQ(rule.shadow, policy->rules.front().shadow);
  EXPECT_EQ(rule.kind, policy->rules.front().kind);
  EXPECT_EQ(rule.unhosted, policy->rules.front().unhosted);
  EXPECT_EQ(rule.owner_release, policy->rules.front().owner_release);
}

TEST(PolicyKeys, WhatIsSentIsCountedInMessagesByDefault) {
  absl::StatusOr<Policy> policy = ParsePolicy("[rule.one]\nmax_sent = 5\n", "p");
  absl::StatusOr<Policy> written =
      ParsePolicy("[rule.one]\nmax_sent = 5\nsent = \"messages\"\n", "p");
  ASSERT_THAT(policy, IsOk());
  ASSERT_THAT(written, IsOk());
  EXPECT_EQ(written->rules.front().measure, policy->rules.front().measure);
}

TEST(PolicyFile, ProfileCpanelCountsAttemptsUnlessTheFileSaysOtherwise) {
  EXPECT_EQ(ParsePolicy("", "p")->count, CountMode::kOnce);
  EXPECT_EQ(ParsePolicy("profile = \"cpanel\"\n", "p")->count, CountMode::kAttempts);
  EXPECT_EQ(ParsePolicy("count = \"once\"\nprofile = \"cpanel\"\n", "p")->count, CountMode::kOnce);
}

TEST(BuiltInPolicy, HoldsTheseRules) {
  const Policy& policy = BuiltInPolicy();
  EXPECT_EQ(Described(policy),
            "mode enforce\nprofile fair\ncount once\n"
            "rule ratio\n  10 and 50% in 1h, for 1h\n"
            "  submission=reject local=hold queued=hold relay=hold\n  kind domain\n"
            "rule runaway\n  100 and 10% in 1h, for 1h\n"
            "  submission=reject local=hold queued=hold relay=hold\n  kind domain\n"
            "rule flood\n  1000 and any share in 1h, for 1h\n"
            "  submission=reject local=hold queued=hold relay=hold\n  kind domain\n"
            "rule host\n  100 and 50% in 1h, for 1h\n  hold\n  kind host\n"
            "rule host_flood\n  5000 and any share in 1h, for 1h\n  hold\n  kind host\n"
            "rule login\n  10 and 50% in 1h, for 1h\n"
            "  submission=reject local=hold queued=hold relay=hold\n  kind login\n"
            "rule account\n  10 and 50% in 1h, for 1h\n"
            "  submission=reject local=hold queued=hold relay=hold\n  kind account\n"
            "rule local shadow\n  10 and 50% in 1h, for 1h\n  hold\n  kind local\n"
            "rule rejected_recipients shadow\n  50 and 30% in 1h, for 1h\n"
            "  submission=reject local=hold queued=hold relay=hold\n  kind domain\n"
            "  counts 50 rejected recipients and 30%\n"
            "exempt\n");
  EXPECT_TRUE(policy.rules.back().measure.rejected());
  EXPECT_FALSE(policy.rules.front().measure.rejected());
  EXPECT_EQ(policy.path, "built-in");
  EXPECT_EQ(&BuiltInPolicy(), &policy);
}

TEST(BuiltInPolicy, IsItsOwnText) {
  absl::StatusOr<Policy> parsed = ParsePolicy(BuiltInPolicyText(), "built-in");
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(Described(*parsed), Described(BuiltInPolicy()));
  EXPECT_EQ(parsed->hash, BuiltInPolicy().hash);
}

TEST(DeployedPolicy, IsTheBuiltInOneInShadow) {
  absl::StatusOr<Policy> deployed =
      ParsePolicy(Contents(SourceFile("deploy/policy.toml")), "policy.toml");
  ASSERT_THAT(deployed, IsOk());
  EXPECT_EQ(deployed->mode, Mode::kShadow);
  EXPECT_EQ(Rules(*deployed), Rules(BuiltInPolicy()));
}

TEST(ParsePolicy, SaysHowMuchIsHeld) {
  absl::StatusOr<Policy> policy =
      ParsePolicy("hold_max = \"90m\"\nhold_limit = 5\nrelease_auto_max = 0\n", "x");
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->hold_max, absl::Minutes(90));
  EXPECT_EQ(policy->hold_limit, 5);
  EXPECT_EQ(policy->release_auto_max, 0);
  EXPECT_EQ(BuiltInPolicy().hold_max, absl::Hours(6));
  for (const char* bad : {"hold_max = \"30s\"", "hold_max = \"6d\"", "hold_limit = -1",
                          "release_auto_max = \"many\""}) {
    EXPECT_THAT(ParsePolicy(bad, "policy.toml"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("policy.toml:1:")))
        << bad;
  }
}

TEST(ParsePolicy, KeepsItsNameAndHash) {
  // printf '' | sha256sum
  EXPECT_EQ(ParsePolicy("", "a/policy.toml")->hash, "e3b0c44298fc1c14");
  EXPECT_EQ(ParsePolicy("", "a/policy.toml")->path, "a/policy.toml");
  // printf 'mode = "shadow"\n' | sha256sum
  EXPECT_EQ(ParsePolicy("mode = \"shadow\"\n", "x")->hash, "2fb657a5e49acca1");
}

TEST(ParsePolicy, SyntaxIsReportedAlone) {
  EXPECT_THAT(ParsePolicy("mode = 5\nrule =\n", "policy.toml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(testing::StartsWith("policy.toml:2:7: not TOML: "),
                                      testing::Not(HasSubstr("\n")))));
}

}  // namespace
}  // namespace deferd
