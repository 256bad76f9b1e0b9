#include "limiter/ctl/policy_diff.h"

#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/ctl/policy_verbs.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

class PolicyDiffTest : public testing::Test {
 protected:
  PolicyDiffTest() : path_(absl::StrCat(testing::TempDir(), "/policy_diff.", getpid())) {}
  ~PolicyDiffTest() override { unlink(path_.c_str()); }

  // One message of `login` a minute from `minute` on; the first `bad` of them fail.
  void Sends(const std::string& login, int minute, int messages, int bad) {
    const std::string domain = login.substr(login.find('@') + 1);
    for (int i = 0; i < messages; ++i, ++minute) {
      const std::string stamp =
          absl::StrFormat("2026-11-22 %02d:%02d:00", 8 + minute / 60, minute % 60);
      const std::string id =
          absl::StrFormat("%06d-000000000%02d-0000", minute * 100 + i, number_ % 100);
      ++number_;
      absl::StrAppendFormat(&log_, "%s %s <= %s H=(c) [192.0.2.7] P=esmtpsa A=plain:%s S=500\n",
                            stamp, id, login, login);
      if (i < bad) {
        absl::StrAppendFormat(
            &log_,
            "%s %s ** r%d@dest.example R=dnslookup T=remote_smtp "
            "H=mx.dest.example [198.51.100.1]: SMTP error from remote mail server "
            "after RCPT TO:<r%d@dest.example>: 550 5.1.1 User unknown\n",
            stamp, id, i, i);
      } else {
        absl::StrAppendFormat(&log_,
                              "%s %s => r%d@dest.example R=dnslookup T=remote_smtp "
                              "H=mx.dest.example [198.51.100.1] C=\"250 OK\"\n",
                              stamp, id, i);
      }
      absl::StrAppendFormat(&log_, "%s %s Completed\n", stamp, id);
    }
  }

  Json Diff(const std::string& before, const std::string& after) {
    std::ofstream(path_) << log_;
    ReplayOptions options;
    options.format = LogFormat::kExim;
    options.paths = {path_};
    options.zone = absl::UTCTimeZone();
    options.policy = Read(before);
    absl::StatusOr<Json> diff = DiffPolicies(options, Read(after));
    EXPECT_THAT(diff, IsOk());
    return diff.value_or(Json());
  }

  static std::shared_ptr<const Policy> Read(const std::string& text) {
    absl::StatusOr<Policy> policy = ParsePolicy(text, "p.toml");
    EXPECT_THAT(policy, IsOk());
    return std::make_shared<Policy>(policy.value_or(Policy()));
  }

  static std::string Rule(int min_bad, const std::string& more = "") {
    return absl::StrCat("[rule.ratio]\nmin_bad = ", min_bad, "\npercent = 50\n", more);
  }

  const std::string path_;
  std::string log_;
  int number_ = 0;
};

TEST_F(PolicyDiffTest, ALowerLimitBlocksMoreAndNamesTheMessage) {
  Sends("bob@few.example", 0, 8, 6);
  Sends("ann@good.example", 10, 8, 0);
  const Json diff = Diff(Rule(10), Rule(5));
  EXPECT_EQ(diff["newly_blocked"], 1);
  EXPECT_EQ(diff["newly_free"], 0);
  ASSERT_EQ(diff["subjects"].size(), 1u);
  const Json& one = diff["subjects"][0];
  EXPECT_EQ(one["subject"], "few.example");
  EXPECT_EQ(one["change"], "newly blocked");
  EXPECT_EQ(one["message"]["recipient"], "r4@dest.example") << "the fifth that failed";
  EXPECT_THAT(PolicyDiffPage(diff), HasSubstr("few.example: newly blocked"));
  const Json back = Diff(Rule(5), Rule(10));
  EXPECT_EQ(back["newly_free"], 1);
  EXPECT_EQ(back["subjects"][0]["message"]["recipient"], "r4@dest.example");
}

TEST_F(PolicyDiffTest, TheSamePolicyDiffersInNothing) {
  Sends("bob@few.example", 0, 8, 6);
  const Json diff = Diff(Rule(5), Rule(5));
  EXPECT_TRUE(diff["subjects"].empty());
  EXPECT_TRUE(diff["rules"].empty());
  EXPECT_EQ(diff["altered_percent"], 0.0);
}

TEST_F(PolicyDiffTest, LongerAndShorterBlocksAreReported) {
  Sends("bob@few.example", 0, 8, 6);
  EXPECT_EQ(Diff(Rule(5), Rule(5, "block_for = \"3h\"\n"))["longer"], 1);
  EXPECT_EQ(Diff(Rule(5), Rule(5, "block_for = \"10m\"\n"))["shorter"], 1);
}

TEST_F(PolicyDiffTest, APolicyInShadowIsComparedAsIfEnforcedAndARuleInShadowIsNot) {
  Sends("bob@few.example", 0, 8, 6);
  EXPECT_EQ(Diff(Rule(10), "mode = \"shadow\"\n" + Rule(5))["newly_blocked"], 1);
  EXPECT_EQ(Diff(Rule(10), Rule(5, "shadow = true\n"))["newly_blocked"], 0);
}

TEST_F(PolicyDiffTest, TheMailboxIsBlockedAndNotTheDomain) {
  Sends("hacked@shop.example", 0, 20, 14);
  Sends("ann@shop.example", 20, 10, 1);
  const Json diff =
      Diff(Rule(10), Rule(10) + "[rule.login]\nkind = \"login\"\nmin_bad = 10\npercent = 50\n");
  ASSERT_EQ(diff["subjects"].size(), 2u);
  EXPECT_EQ(diff["subjects"][0]["subject"], "login:hacked@shop.example");
  EXPECT_EQ(diff["subjects"][0]["change"], "newly blocked");
  EXPECT_EQ(diff["subjects"][1]["subject"], "shop.example");
  EXPECT_EQ(diff["subjects"][1]["change"], "newly free");
}

TEST_F(PolicyDiffTest, ANewsletterWithItsOwnLimitsGoesFree) {
  Sends("list@news.example", 0, 30, 16);
  Sends("bob@shop.example", 0, 30, 16);
  const Json diff = Diff(Rule(10), "[tag.newsletter]\ndomains = \"news.example\"\n" + Rule(10) +
                                       "[rule.newsletter]\ntags = \"newsletter\"\n"
                                       "instead_of = \"ratio\"\nmin_bad = 100\npercent = 60\n");
  EXPECT_EQ(diff["newly_free"], 1);
  ASSERT_EQ(diff["subjects"].size(), 1u);
  EXPECT_EQ(diff["subjects"][0]["subject"], "news.example");
  EXPECT_THAT(diff["rules"].dump(), HasSubstr(R"({"name":"newsletter","change":"new"})"));
}

TEST_F(PolicyDiffTest, AnExemptionCountsUntilItEnds) {
  Sends("bob@few.example", 0, 8, 6);
  const std::string exempt =
      "[exempt.few]\ndomains = \"few.example\"\nreason = \"a test\"\nuntil = ";
  EXPECT_EQ(Diff(Rule(5), Rule(5) + exempt + "\"2026-11-22\"\n")["newly_free"], 1);
  EXPECT_EQ(Diff(Rule(5), Rule(5) + exempt + "\"2026-11-21\"\n")["newly_free"], 0);
}

TEST(SubjectRules, SaysWhichRulesJudgeAndWhyOthersDoNot) {
  absl::StatusOr<Policy> policy = ParsePolicy(R"([tag.newsletter]
domains = ["news.example"]
[rule.ratio]
min_bad = 10
percent = 50
[rule.newsletter]
tags = ["newsletter"]
instead_of = "ratio"
min_bad = 100
percent = 20
[exempt.move]
domains = ["old.example"]
reason = "moves"
by = "anna"
until = "2026-12-31"
)",
                                              "p.toml");
  ASSERT_THAT(policy, IsOk());
  const absl::Time now = absl::FromCivil(absl::CivilDay(2026, 11, 22), absl::UTCTimeZone());
  const auto page = [&](const char* subject) {
    return SubjectRulesPage(SubjectRulesJson(*policy, {}, Subject::Parse(subject).value(), now));
  };
  EXPECT_THAT(page("news.example"), HasSubstr("rule newsletter judges it instead (instead_of)"));
  EXPECT_THAT(page("shop.example"), HasSubstr("its domains, logins and tags do not list it"));
  EXPECT_THAT(page("old.example"), HasSubstr("EXEMPT: move (line 11): moves, by anna, until"));
  EXPECT_THAT(page("bob@shop.example"), HasSubstr("it judges kind domain"));
}

}  // namespace
}  // namespace deferd
