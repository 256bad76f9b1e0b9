#include "limiter/ctl/policy_suggest.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::HasSubstr;

ReplayOptions ChargedBySender(const std::string& policy) {
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
  absl::StatusOr<Json> suggestion = SuggestLimits(ChargedBySender(""), SubjectKind::kDomain);
  ASSERT_THAT(suggestion, IsOk());
  int compared = 0, blocked = 0;
  for (const Json& cell : (*suggestion)["cells"]) {
    const int percent = cell["percent"];
    if (percent % 20 != 10) continue;
    absl::StatusOr<Json> replay = Replay(ChargedBySender(absl::StrCat(
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

// Three failures at nine; what people lifted comes from the daemon's verb `blocks`.
TEST(SuggestLimits, TellsWhichBlocksAPersonLifted) {
  const absl::Time nine = absl::FromUnixSeconds(1'795'338'000);  // 2026-11-22 09:00:00 UTC
  const auto block = [](const char* subject, const char* at, const char* by, bool manual = false) {
    return Json{{"subject", subject},
                {"closed_at", at},
                {"closed_by", by},
                {"manual", manual},
                {"shadow", false}};
  };
  const std::vector<LiftedBlock> lifted = LiftedBlocks(
      Json::array({block("a.example", "2026-11-22T11:00:00Z", "root"),
                   block("b.example", "2026-11-22T11:00:00Z", "time"),
                   block("c.example", "2026-11-25T11:00:00Z", "root"),
                   block("d.example", "2026-11-22T11:00:00Z", "root", /*manual=*/true),
                   Json{{"subject", "e.example"}, {"manual", false}, {"shadow", false}}}));
  ASSERT_EQ(lifted.size(), 2u) << "of rules' blocks, by people";
  ReplayOptions options = ChargedBySender("");
  options.lists = ChargeLists();
  options.lists.local = true;
  const auto next = [&](EventBatch* batch) -> absl::StatusOr<bool> {
    batch->Clear();
    for (int i = 0; i < 9; ++i) {
      LogEvent* const event = batch->Add();
      event->kind = LogEvent::Kind::kAttempt;
      event->attempt.time = nine + absl::Seconds(i);
      event->attempt.message = {absl::StrCat("m", i), nine};
      event->attempt.recipient = "r@x";
      event->attempt.outcome = Outcome::kFailed;
      event->attempt.remote = true;
      event->attempt.identity.login = absl::StrCat("u@", std::string(1, "abc"[i % 3]), ".example");
    }
    return false;
  };
  absl::StatusOr<Json> suggestion = SuggestLimits(options, SubjectKind::kDomain, next, &lifted);
  ASSERT_THAT(suggestion, IsOk());
  const Json& cell = (*suggestion)["cells"][0];
  EXPECT_EQ(cell["blocks"], 3);
  EXPECT_EQ(cell["lifted_percent"], 33) << "a.example alone, within a day";
  EXPECT_THAT(SuggestPage(*suggestion), HasSubstr("that a person lifted"));
  absl::StatusOr<Json> unknown = SuggestLimits(options, SubjectKind::kDomain, next, nullptr);
  ASSERT_THAT(unknown, IsOk());
  EXPECT_TRUE((*unknown)["cells"][0]["lifted_percent"].is_null());
}

TEST(SuggestLimits, FewerBlocksTheHigherTheLimits) {
  absl::StatusOr<Json> suggestion = SuggestLimits(ChargedBySender(""), SubjectKind::kDomain);
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
