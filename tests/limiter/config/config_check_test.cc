#include "limiter/config/config_check.h"

#include <grp.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ConfigCheckTest : public testing::Test {
 protected:
  ConfigCheckTest() {
    folder_ = absl::StrCat(testing::TempDir(), "/config_check.", getpid(), ".",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/mainlog") << "";
    config_.exim_logs = {folder_ + "/mainlog"};
    config_.hook_exim = {"unix:" + folder_ + "/exim.sock"};
    config_.admin_socket = folder_ + "/admin.sock";
  }
  ~ConfigCheckTest() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  Config config_;
};

TEST_F(ConfigCheckTest, AMachineThatHasEverythingGivesNoFinding) {
  config_.hook_options.group = getgrgid(getgid())->gr_name;
  const MachineFindings found = CheckMachine(config_);
  EXPECT_THAT(found.errors, IsEmpty());
  EXPECT_THAT(found.warnings, IsEmpty());
}

TEST_F(ConfigCheckTest, AGroupThatDoesNotExistIsAnErrorWithARemedy) {
  config_.hook_options.group = "no-such-mta";
  EXPECT_THAT(
      CheckMachine(config_).errors,
      ElementsAre(AllOf(HasSubstr("[hook] group: this machine has no group \"no-such-mta\""),
                        HasSubstr("; "))));
  config_.hook_exim.clear();  // nobody is asked, so nobody needs the group
  EXPECT_THAT(CheckMachine(config_).errors, IsEmpty());
}

TEST_F(ConfigCheckTest, ASocketWithoutItsFolderIsAnError) {
  config_.hook_postfix = {"unix:" + folder_ + "/chroot/deferd/policy.sock"};
  EXPECT_THAT(CheckMachine(config_).errors,
              ElementsAre(AllOf(HasSubstr("[hook] postfix"), HasSubstr("/chroot/deferd"))));
}

TEST_F(ConfigCheckTest, AFolderThatSystemdMakesIsAWarning) {
  config_.admin_socket = "/run/no-such-unit/admin.sock";
  const MachineFindings found = CheckMachine(config_);
  EXPECT_THAT(found.errors, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("/run/no-such-unit")));
}

TEST_F(ConfigCheckTest, ALogThatIsNotThereIsAWarning) {
  config_.exim_logs = {folder_ + "/later", folder_ + "/nowhere/mainlog", folder_ + "/*.log"};
  const MachineFindings found = CheckMachine(config_);
  EXPECT_THAT(found.errors, IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("as soon as the mail server creates it"),
                                          HasSubstr("is this mail server installed here?"),
                                          HasSubstr("as soon as the mail server creates it")));
}

TEST_F(ConfigCheckTest, WarnsOfSettingsForAMailServerThatIsNotInstalled) {
  EXPECT_FALSE(OnlyTheOtherIsHere(HookDoor::kExim, folder_)) << "neither: a container of its own";
  std::filesystem::create_directories(folder_ + "/usr/sbin");
  std::ofstream(folder_ + "/usr/sbin/postfix") << "";
  EXPECT_TRUE(OnlyTheOtherIsHere(HookDoor::kExim, folder_));
  EXPECT_FALSE(OnlyTheOtherIsHere(HookDoor::kPostfix, folder_));
  std::ofstream(folder_ + "/usr/sbin/exim") << "";
  EXPECT_FALSE(OnlyTheOtherIsHere(HookDoor::kExim, folder_));
  EXPECT_FALSE(OnlyTheOtherIsHere(HookDoor::kPostfix, folder_));

  const std::vector<std::string> logs = {folder_ + "/mainlog", folder_ + "/later"};
  EXPECT_THAT(LogsToFollow(logs, false), ElementsAre(logs[0], logs[1]));
  EXPECT_THAT(LogsToFollow(logs, true), ElementsAre(logs[0])) << "what exists is read";
  EXPECT_TRUE(HasNoFolder("unix:" + folder_ + "/none/x.sock"));
  EXPECT_FALSE(HasNoFolder("unix:" + folder_ + "/x.sock"));
  EXPECT_FALSE(HasNoFolder("127.0.0.1:25"));
}

TEST(NoOwnerRelease, NeedsThePageAndTheLedger) {
  Config config;
  config.owner_page = "https://mail.example.net";
  config.ledger.enabled = true;
  Policy policy;
  policy.rules.push_back({.name = "r"});
  EXPECT_EQ(NoOwnerRelease(Config(), policy), "");
  policy.rules[0].owner_release = true;
  EXPECT_EQ(NoOwnerRelease(config, policy), "");
  config.ledger.enabled = false;
  EXPECT_THAT(NoOwnerRelease(config, policy), HasSubstr("[ledger] enabled = true"));
  config.owner_page = "";
  EXPECT_THAT(NoOwnerRelease(config, policy),
              AllOf(HasSubstr("rule r says owner_release"), HasSubstr("[api] owner_page")));
}

TEST(WrongMailServer, TheStockConfigurationOnAHostOfTheOtherMailServer) {
  Config config;
  config.exim_logs = {"/var/log/exim4/mainlog"};
  config.hook_exim = {"unix:/run/deferd/exim.sock"};
  EXPECT_THAT(WrongMailServer(config, false, true), testing::HasSubstr("group = \"postfix\""));
  EXPECT_EQ(WrongMailServer(config, true, true), "");
  EXPECT_EQ(WrongMailServer(config, false, false), "") << "logs of another machine";
  config.postfix_logs = {"/var/log/mail.log"};
  EXPECT_EQ(WrongMailServer(config, false, true), "");
  config.exim_logs.clear();
  config.hook_exim.clear();
  EXPECT_THAT(WrongMailServer(config, true, false), testing::HasSubstr("\"Debian-exim\""));
}

}  // namespace
}  // namespace deferd
