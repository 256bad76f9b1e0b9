#include "limiter/app/reload_changes.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"

namespace deferd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

Policy Parsed(const std::string& toml) { return *ParsePolicy(toml, "test.toml"); }

TEST(ReloadChanges, NamesModesAndRules) {
  const Policy before =
      Parsed("[rule.a]\nmin_bad = 5\npercent = 50\n[rule.b]\nmin_bad = 9\npercent = 10\n");
  const Policy now = Parsed(
      "mode = \"shadow\"\n[rule.a]\nmin_bad = 6\npercent = 50\n[rule.c]\nmin_bad = 9\npercent = "
      "10\n");
  const std::vector<std::string> changes = PolicyChanges(before, now);
  EXPECT_THAT(changes, Contains("mode shadow, was enforce"));
  EXPECT_THAT(changes, Contains("rule a has changed"));
  EXPECT_THAT(changes, Contains("rule b was removed"));
  EXPECT_THAT(changes, Contains("rule c is new"));
  EXPECT_THAT(PolicyChanges(before, before), IsEmpty());
}

TEST(ReloadChanges, CountsTheBlocksThatEnded) {
  CaseTable cases;
  std::vector<Case> open;
  for (int i = 0; i < 9; ++i) {
    Case record;
    record.id = absl::StrCat("n-1-", i);
    record.subject = {SubjectKind::kDomain, absl::StrCat("d", i, ".example")};
    record.shadow = i == 8;
    record.until = absl::UnixEpoch() + absl::Hours(1);
    open.push_back(record);
    // The first stays; another one of the second's has begun.
    if (i == 1) record.id = "n-1-99";
    if (i < 2) cases.Put(CaseChange::kOpened, absl::UnixEpoch(), record);
  }
  EXPECT_THAT(EndedByPolicy(open, cases),
              ElementsAre("7 blocks ended: d1.example, d2.example, d3.example, d4.example, "
                          "d5.example and 2 more",
                          "1 block in shadow ended: d8.example"));
}

}  // namespace
}  // namespace deferd
