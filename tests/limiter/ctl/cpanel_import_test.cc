#include "limiter/ctl/cpanel_import.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"
#include "policy/rules_for.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class CpanelImportTest : public testing::Test {
 protected:
  CpanelImportTest() : dir_(absl::StrCat(testing::TempDir(), "/cpanel.", getpid())) {
    std::filesystem::remove_all(dir_);
  }
  ~CpanelImportTest() override { std::filesystem::remove_all(dir_); }

  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = absl::StrCat(dir_, "/", name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  Policy Imported() {
    absl::StatusOr<CpanelImport> import = ImportCpanel(dir_);
    EXPECT_THAT(import, IsOk());
    if (!import.ok()) return Policy();
    import_ = *std::move(import);
    absl::StatusOr<Policy> policy = ParsePolicy(import_.policy, "imported");
    EXPECT_THAT(policy, IsOk());
    return policy.value_or(Policy());
  }

  // "5 and 25%" of the rules that judge the domain.
  static std::string Limits(const Policy& policy, const std::string& domain) {
    std::string limits;
    for (const Rule* rule : RulesFor(policy, {SubjectKind::kDomain, domain})) {
      if (rule->measure.sent()) continue;
      absl::StrAppend(&limits, limits.empty() ? "" : "; ", rule->min_bad, " and ",
                      rule->off() ? std::string("off") : absl::StrCat(rule->percent, "%"));
    }
    return limits;
  }

  // "500 to 125%" of those on what is sent.
  static std::string Sent(const Policy& policy, const std::string& domain) {
    std::string limits;
    for (const Rule* rule : RulesFor(policy, {SubjectKind::kDomain, domain})) {
      if (!rule->measure.sent()) continue;
      absl::StrAppend(&limits, limits.empty() ? "" : "; ", rule->min_bad, " to ", rule->cutoff,
                      "%");
    }
    return limits;
  }

  const std::string dir_;
  CpanelImport import_;
};

TEST_F(CpanelImportTest, AccountsKeepTheirOwnPercentage) {
  Write("var/cpanel/cpanel.config",
        "email_send_limits_max_defer_fail_percentage=25\n"
        "email_send_limits_min_defer_fail_to_trigger_protection=7\n"
        "maxemailsperhour=500\nemail_send_limits_defer_cutoff=125\n");
  Write("etc/userdomains",
        "*: nobody\nshop.example: acct1\nblog.shop.example: acct1\nnews.example: acct2\n"
        "plain.example: acct3\nfree.example: acct4\n");
  Write("var/cpanel/users/acct1", "DNS=shop.example\nMAX_DEFER_FAIL_PERCENTAGE=40\n");
  Write("var/cpanel/users/acct2",
        "DNS=news.example\nMAX_DEFER_FAIL_PERCENTAGE=60\n"
        "MAX_EMAIL_PER_HOUR=2000\n");
  Write("var/cpanel/users/acct3", "DNS=plain.example\nDNS1=parked.example\n");
  Write("var/cpanel/users/acct4",
        "DNS=free.example\nMAX_DEFER_FAIL_PERCENTAGE=unlimited\nMAX_EMAIL_PER_HOUR=unlimited\n");
  const Policy policy = Imported();
  EXPECT_EQ(policy.profile, Profile::kCpanel);
  EXPECT_EQ(policy.mode, Mode::kShadow) << "nobody is blocked before a person looked";
  EXPECT_EQ(Limits(policy, "plain.example"), "7 and 25%");
  EXPECT_EQ(Limits(policy, "shop.example"), "7 and 40%");
  EXPECT_EQ(Limits(policy, "blog.shop.example"), "7 and 40%");
  EXPECT_EQ(Limits(policy, "news.example"), "7 and 60%");
  EXPECT_TRUE(policy.Exempts({SubjectKind::kDomain, "free.example"}, absl::UnixEpoch()));
  EXPECT_FALSE(policy.Exempts({SubjectKind::kDomain, "plain.example"}, absl::UnixEpoch()));
  EXPECT_EQ(Sent(policy, "plain.example"), "500 to 125%");
  EXPECT_EQ(Sent(policy, "news.example"), "2000 to 125%");
  EXPECT_EQ(Sent(policy, "free.example"), "");
  EXPECT_THAT(import_.not_carried_over, Contains(HasSubstr("what the hourly maximum counts")));
}

// What is not carried over stands in the policy as a comment, which TOML takes as text alone.
TEST_F(CpanelImportTest, NoBytesOfTheFilesSpoilThePolicy) {
  Write("cpanel.config", "maxemailsperhour=500\nemailsperdaynotify=\x01\xff\x7f\n");
  Write("userdomains", "\x02.exa\xffmple: acct1\n");
  Imported();
  EXPECT_THAT(import_.not_carried_over, Contains(HasSubstr("emailsperdaynotify")));
}

TEST_F(CpanelImportTest, UnlimitedMeansOffAndIsReported) {
  Write("cpanel.config", "email_send_limits_max_defer_fail_percentage=undef\n");
  Write("users/acct1", "DNS=strict.example\nMAX_DEFER_FAIL_PERCENTAGE=10\n");
  const Policy policy = Imported();
  EXPECT_EQ(Limits(policy, "strict.example"), "5 and 10%");
  EXPECT_EQ(Limits(policy, "other.example"), "5 and off");
  EXPECT_THAT(import_.policy, HasSubstr("unlimited in cPanel, so the rule is off"));
}

TEST_F(CpanelImportTest, HeldAccountsAreNamedWithTheirDomains) {
  Write("cpanel.config", "");
  Write("userdomains", "a.example: acct1\nb.example: acct1\n");
  Write("outgoing_mail_hold_users", "acct1\n");
  Imported();
  EXPECT_THAT(import_.not_carried_over,
              Contains(HasSubstr("account acct1: mail is held; deferctl block DOMAIN --for 30d "
                                 "--reason TEXT (a.example, b.example)")));
  EXPECT_THAT(import_.not_carried_over, Not(Contains(HasSubstr("suspended"))));
}

TEST_F(CpanelImportTest, WhatCannotBeReadIsAMistake) {
  EXPECT_THAT(ImportCpanel(dir_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("cpanel.config")));
  Write("cpanel.config", "email_send_limits_max_defer_fail_percentage=half\n");
  EXPECT_THAT(ImportCpanel(dir_), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("is 'half'; expected a whole number")));
}

}  // namespace
}  // namespace deferd
