// What backup, restore and forget show people; the work is tested in store, admin and e2e.

#include "limiter/ctl/state_verbs.h"

#include "gmock/gmock.h"
#include "limiter/ctl/progress.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(ForgottenPage, TellsWhatIsGoneAndWhatStays) {
  const std::string page = ForgottenPage({{"dry_run", false},
                                          {"attempts", 12},
                                          {"receipt_attempts", 3},
                                          {"receipts", 1},
                                          {"kept_cases", 2},
                                          {"still_named", {"/etc/deferd/policy.toml:7"}}});
  EXPECT_THAT(page,
              AllOf(HasSubstr("removed 12 attempts from the ledger, 3 from 1 receipt\n"),
                    HasSubstr("kept: 2 case records"),
                    HasSubstr("still named in /etc/deferd/policy.toml:7\n"), HasSubstr("backups")));
}

TEST(ForgottenPage, ADryRunSaysSo) {
  const std::string page = ForgottenPage({{"dry_run", true},
                                          {"attempts", 0},
                                          {"receipt_attempts", 0},
                                          {"receipts", 0},
                                          {"kept_cases", 0},
                                          {"still_named", Json::array()}});
  EXPECT_EQ(page, "would remove 0 attempts from the ledger, 0 from 0 receipts\n");
  EXPECT_THAT(page, Not(HasSubstr("kept")));
}

TEST(Progress, FitsATerminal) {
  EXPECT_EQ(ProgressLine("", 0).size(), ProgressLine("", 100).size());
  EXPECT_EQ(ProgressLine("backup", 50).substr(0, 33), "backup [" + std::string(25, '#'));
  EXPECT_LE(ProgressLine("restore", 100).size(), 80u);
  // Tests have no terminal to draw on.
  EXPECT_FALSE(static_cast<bool>(ProgressBar("x")));
}

}  // namespace
}  // namespace deferd
