#include "policy/rules_for.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/evaluate.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Subject SubjectOf(absl::string_view text) { return Subject::Parse(text).value(); }

Policy Read(absl::string_view text, ReadListFile read_file = {}) {
  absl::StatusOr<Policy> policy = ParsePolicy(text, "p.toml", std::move(read_file));
  EXPECT_THAT(policy, IsOk());
  return policy.value_or(Policy());
}

std::vector<std::string> Names(const RuleList& rules) {
  std::vector<std::string> names;
  for (const Rule* rule : rules) names.push_back(rule->name);
  return names;
}

std::vector<std::string> For(const Policy& policy, absl::string_view subject) {
  return Names(RulesFor(policy, SubjectOf(subject)));
}

constexpr absl::string_view kNewsletters = R"(
[tag.newsletter]
domains = ["news.example", "*.lists.example"]
except = ["bad.lists.example"]
[rule.ratio]
min_bad = 10
percent = 50
[rule.flood]
min_bad = 1000
any_share = true
[rule.newsletter]
tags = ["newsletter"]
instead_of = "ratio"
min_bad = 200
percent = 20
)";

TEST(RulesFor, ARuleStandsInForAnotherForThoseThatItSelects) {
  const Policy policy = Read(kNewsletters);
  EXPECT_THAT(For(policy, "shop.example"), ElementsAre("ratio", "flood"));
  EXPECT_THAT(For(policy, "news.example"), ElementsAre("flood", "newsletter"));
  EXPECT_THAT(For(policy, "a.lists.example"), ElementsAre("flood", "newsletter"));
  EXPECT_THAT(For(policy, "bad.lists.example"), ElementsAre("ratio", "flood"));
  EXPECT_THAT(For(policy, "lists.example"), ElementsAre("ratio", "flood"));
}

TEST(RulesFor, LooserLimitsReallyAreLooser) {
  const Policy policy = Read(kNewsletters);
  const auto strictest = [&](absl::string_view subject) {
    const std::vector<Decision> decisions =
        EvaluateAll(policy, SubjectOf(subject), [](const Rule&) {
          return Counts{50, 25, 25};
        });
    const Decision* decision = Strictest(policy, decisions, /*shadow=*/false);
    return decision == nullptr ? "" : decision->rule->name;
  };
  EXPECT_EQ(strictest("shop.example"), "ratio");
  EXPECT_EQ(strictest("news.example"), "");
}

TEST(RulesFor, ARuleThatIsOffStandsInForNone) {
  const Policy policy = Read(R"(
[rule.ratio]
min_bad = 10
percent = 50
[rule.newsletter]
domains = ["news.example"]
instead_of = "ratio"
)");
  EXPECT_THAT(For(policy, "news.example"), ElementsAre("ratio", "newsletter"));
  EXPECT_EQ(RuleReasons(policy, SubjectOf("news.example"))[1].why,
            "it is off: it gives no percent");
}

TEST(RulesFor, AnEmptyListNamesNobodyAndNoListEverybody) {
  std::string list;
  const auto read = [&](const std::string&) { return list; };
  const std::string text =
      "[rule.some]\nmin_bad = 1\npercent = 1\ndomains = \"/etc/deferd/some\"\n";
  EXPECT_THAT(For(Read(text, read), "a.example"), IsEmpty());
  list = "# panel\na.example: owner\n\n*.b.example OK\n";
  Policy policy = Read(text, read);
  EXPECT_THAT(For(policy, "a.example"), ElementsAre("some"));
  EXPECT_THAT(For(policy, "x.b.example"), ElementsAre("some"));
  EXPECT_THAT(For(policy, "b.example"), IsEmpty());
  EXPECT_THAT(policy.list_files, ElementsAre("/etc/deferd/some"));
  const std::string hash = policy.hash;
  list += "c.example\n";
  EXPECT_NE(Read(text, read).hash, hash) << "another list is another policy";
}

TEST(RulesFor, AMistakeInAListNamesItsLine) {
  const auto read = [](const std::string&) { return std::string("a.example\nno..domain\n"); };
  absl::StatusOr<Policy> policy =
      ParsePolicy("[tag.some]\ndomains = \"/etc/some\"\n", "p.toml", read);
  EXPECT_THAT(policy.status().message(), HasSubstr("p.toml:2:11: /etc/some:2: 'no..domain'"));
}

TEST(RulesFor, LoginsAreSelectedByNameAndByDomain) {
  const Policy policy = Read(R"(
[rule.few]
kind = "login"
logins = ["bob@example.com"]
min_bad = 1
percent = 1
[rule.domain]
kind = "login"
domains = ["example.com"]
except = ["ann@example.com"]
min_bad = 1
percent = 1
)");
  EXPECT_THAT(For(policy, "bob@example.com"), ElementsAre("few", "domain"));
  EXPECT_THAT(For(policy, "ann@example.com"), IsEmpty());
  EXPECT_THAT(For(policy, "eve@example.com"), ElementsAre("domain"));
  EXPECT_THAT(For(policy, "example.com"), IsEmpty());
  EXPECT_THAT(Names(RulesFor(policy, SubjectOf("login:smtpout"), false, "example.com")),
              ElementsAre("domain"));
}

TEST(RulesFor, ReasonsSayWhyNot) {
  const Policy policy = Read(kNewsletters);
  const std::vector<RuleReason> reasons = RuleReasons(policy, SubjectOf("news.example"));
  ASSERT_EQ(reasons.size(), 3u);
  EXPECT_FALSE(reasons[0].judges);
  EXPECT_EQ(reasons[0].why, "rule newsletter judges it instead (instead_of)");
  EXPECT_TRUE(reasons[2].judges);
  EXPECT_EQ(reasons[2].rule->line, 11);
  EXPECT_EQ(RuleReasons(policy, SubjectOf("bob@news.example"))[0].why, "it judges kind domain");
  EXPECT_EQ(RuleReasons(policy, SubjectOf("shop.example"))[2].why,
            "its domains, logins and tags do not list it");
}

TEST(Exempts, BySectionsWithReason) {
  const Policy policy = Read(R"(
[tag.relay]
domains = ["*.relay.example"]
[exempt]
domains = "old.example"
[exempt.partner]
domains = ["gateway.example"]
except = ["lost.relay.example"]
tags = ["relay"]
logins = ["robot@example.com"]
reason = "until the move"
by = "anna"
)");
  EXPECT_TRUE(policy.Exempts(SubjectOf("old.example"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(SubjectOf("gateway.example"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(SubjectOf("a.relay.example"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(SubjectOf("bob@a.relay.example"), absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts(SubjectOf("lost.relay.example"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(SubjectOf("robot@example.com"), absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts(SubjectOf("example.com"), absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts(SubjectOf("bob@example.com"), absl::UnixEpoch()));
  EXPECT_TRUE(policy.Exempts(SubjectOf("account:web1"), absl::UnixEpoch(), "gateway.example"));
}

// Random policies: the index finds what a plain look at every rule finds; and rules in shadow
// change nothing of what enforced ones do.
class RandomPolicyTest : public testing::TestWithParam<int> {
 protected:
  std::string SomeDomain() {
    static const char* const kDomains[] = {"a.example", "b.example",     "x.a.example",
                                           "c.example", "y.x.a.example", "d.example"};
    return kDomains[random_() % 6];
  }
  std::string SomeList() {
    std::string list;
    for (int i = static_cast<int>(random_() % 3); i >= 0; --i) {
      const std::string pattern =
          absl::StrCat("\"", random_() % 3 == 0 ? "*." : "", SomeDomain(), "\"");
      if (list.find(pattern) == std::string::npos)
        absl::StrAppend(&list, list.empty() ? "" : ", ", pattern);
    }
    return absl::StrCat("[", list, "]");
  }
  std::string SomePolicy() {
    std::string text = absl::StrCat("[tag.t]\ndomains = ", SomeList(), "\n");
    const int rules = 1 + static_cast<int>(random_() % 8);
    for (int i = 0; i < rules; ++i) {
      absl::StrAppend(&text, "[rule.r", i, "]\nmin_bad = ", 1 + random_() % 5, "\naction = \"",
                      random_() % 2 == 0 ? "hold" : "reject", "\"\n");
      if (random_() % 5 != 0) absl::StrAppend(&text, "percent = ", 1 + random_() % 100, "\n");
      if (random_() % 2 == 0) absl::StrAppend(&text, "domains = ", SomeList(), "\n");
      if (random_() % 3 == 0) absl::StrAppend(&text, "except = ", SomeList(), "\n");
      if (random_() % 4 == 0) absl::StrAppend(&text, "tags = \"t\"\n");
      if (random_() % 3 == 0) absl::StrAppend(&text, "shadow = true\n");
      if (i > 0 && random_() % 2 == 0) {
        absl::StrAppend(&text, "instead_of = \"r", random_() % i, "\"\n");
      }
    }
    return text;
  }
  Counts SomeCounts() {
    return {static_cast<int64_t>(random_() % 10), static_cast<int64_t>(random_() % 5),
            static_cast<int64_t>(random_() % 5)};
  }

  std::minstd_rand random_{static_cast<unsigned>(GetParam())};
};

TEST_P(RandomPolicyTest, TheIndexFindsWhatAPlainLookFinds) {
  for (int round = 0; round < 50; ++round) {
    const Policy policy = Read(SomePolicy());
    Policy plain = policy;
    plain.index = nullptr;
    for (int i = 0; i < 10; ++i) {
      const Subject subject = SubjectOf(SomeDomain());
      const RuleList indexed = RulesFor(policy, subject);
      EXPECT_EQ(Names(indexed), Names(RulesFor(plain, subject)));
      std::vector<std::string> reasons;
      for (const RuleReason& reason : RuleReasons(policy, subject)) {
        if (reason.judges) reasons.push_back(reason.rule->name);
      }
      std::vector<std::string> on;
      for (const Rule* rule : indexed) {
        if (!rule->off()) on.push_back(rule->name);
      }
      EXPECT_EQ(reasons, on);
    }
  }
}

TEST_P(RandomPolicyTest, ShadowNeverChangesWhatIsEnforced) {
  for (int round = 0; round < 50; ++round) {
    const Policy policy = Read(SomePolicy());
    Policy enforced = policy;
    enforced.index = nullptr;
    std::erase_if(enforced.rules, [](const Rule& rule) { return rule.shadow; });
    for (int i = 0; i < 10; ++i) {
      const Subject subject = SubjectOf(SomeDomain());
      const Counts counts = SomeCounts();
      const auto name = [&](const Policy& judged) {
        const std::vector<Decision> decisions =
            EvaluateAll(judged, subject, [&](const Rule&) { return counts; });
        const Decision* decision = Strictest(judged, decisions, /*shadow=*/false);
        return decision == nullptr ? "" : decision->rule->name;
      };
      EXPECT_EQ(name(policy), name(enforced));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomPolicyTest, testing::Range(1, 9));

}  // namespace
}  // namespace deferd
