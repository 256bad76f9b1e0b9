#include "limiter/ctl/policy_suggest.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::HasSubstr;

ReplayOptions BySender(const std::string& policy) {
  ReplayOptions options;
  options.paths = {TestData("exim/exim-default.log")};
  absl::StatusOr<Policy> parsed = ParsePolicy(policy, "p.toml");
  EXPECT_THAT(parsed, IsOk());
  options.policy = std::make_shared<Policy>(parsed.value_or(Policy()));
  options.lists.order = {ChargeStep::kSender};
  options.zone = absl::UTCTimeZone();
  return options;
}

// A replay with the one rule is the truth of each cell.
TEST(SuggestLimits, EachCellIsWhatAReplayWithThatRuleBlocks) {
  absl::StatusOr<Json> suggestion = SuggestLimits(BySender(""), SubjectKind::kDomain);
  ASSERT_THAT(suggestion, IsOk());
  int compared = 0, blocked = 0;
  for (const Json& cell : (*suggestion)["cells"]) {
    const int percent = cell["percent"];
    if (percent % 20 != 10) continue;
    absl::StatusOr<Json> replay = Replay(BySender(absl::StrCat(
        "[rule.one]\nmin_bad = ", cell["min_bad"].get<int64_t>(), "\npercent = ", percent, "\n")));
    ASSERT_THAT(replay, IsOk());
    int64_t subjects = 0;
    for (const Json& domain : (*replay)["domains"]) {
      if (!domain["blocks"].empty()) ++subjects;
    }
    EXPECT_EQ(cell["subjects"], subjects) << cell.dump();
    ++compared;
    blocked += subjects > 0 ? 1 : 0;
  }
  EXPECT_EQ(compared, 28);
  EXPECT_GT(blocked, 5);
}

TEST(SuggestLimits, FewerBlocksTheHigherTheLimits) {
  absl::StatusOr<Json> suggestion = SuggestLimits(BySender(""), SubjectKind::kDomain);
  ASSERT_THAT(suggestion, IsOk());
  const Json& cells = (*suggestion)["cells"];
  for (size_t i = 1; i < cells.size(); ++i) {
    if (cells[i]["min_bad"] != cells[i - 1]["min_bad"]) continue;
    EXPECT_LE(cells[i]["subjects"], cells[i - 1]["subjects"]);
  }
  EXPECT_THAT(SuggestPage(*suggestion), HasSubstr("Blocks a day, by N (min_bad, down)"));
}

}  // namespace
}  // namespace deferd
