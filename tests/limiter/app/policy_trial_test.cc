#include "limiter/app/policy_trial.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string Limit(int min_bad) {
  return absl::StrCat("mode = \"enforce\"\n[rule.r]\nmin_bad = ", min_bad, "\npercent = 50\n");
}

// d0 and d1 have five failures each, d2 has a delivery.
class PolicyTrialTest : public testing::Test, public LimiterFixture {
 protected:
  PolicyTrialTest() : LimiterFixture(Limit(100), At(absl::Hours(3))) {
    FeedMany(5, "d0.example", absl::Minutes(1), Outcome::kFailed);
    FeedMany(5, "d1.example", absl::Minutes(2), Outcome::kFailed);
    FeedMany(1, "d2.example", absl::Minutes(3), Outcome::kDelivered);
    EXPECT_THAT(committer_->Commit(), IsOk());
  }
  absl::StatusOr<Json> Try(const std::string& text, bool out_of_time = false) {
    const PolicyTrial trial = {
        .day = {.lists = &lists_,
                .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
                .now = clock_.Now(),
                .out_of_time = [&] { return out_of_time; }}};
    return trial.Diff(ParsedPolicy(Limit(100)), text);
  }

  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();
  ChargeLists lists_;
};

TEST_F(PolicyTrialTest, ShowsWhomTheTextWouldHaveBlocked) {
  const absl::StatusOr<Json> diff = Try(Limit(5));
  ASSERT_THAT(diff, IsOk());
  EXPECT_EQ((*diff)["newly_blocked"], 2);
  EXPECT_EQ((*diff)["attempts"], 11);
  EXPECT_EQ((*diff)["whole"], true);
  EXPECT_EQ((*diff)["rules"], Json::parse(R"([{"name": "r", "change": "changed"}])"));
}

TEST_F(PolicyTrialTest, SaysThatTimeWasUp) {
  const absl::StatusOr<Json> diff = Try(Limit(5), /*out_of_time=*/true);
  ASSERT_THAT(diff, IsOk());
  EXPECT_EQ((*diff)["whole"], false);
  EXPECT_EQ((*diff)["attempts"], 0);
}

TEST_F(PolicyTrialTest, NamesEachMistakeWithItsLine) {
  EXPECT_THAT(Try("mode = \"enforce\"\n[rule.r]\nmin_bad = -1\npercent = 500\n").status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("policy:3:"), HasSubstr("policy:4:"))));
}

TEST_F(PolicyTrialTest, OpensNoFileThatThePolicyInForceDoesNotName) {
  const std::string path = testing::TempDir() + "/policy_trial_list";
  std::ofstream(path) << "secret words of another file\n";
  for (const std::string& text : {absl::StrCat(Limit(5), "domains = [\"", path, "\"]\n"),
                                  absl::StrCat(Limit(5), "[replies]\nfile = \"", path, "\"\n")}) {
    const absl::Status refused = Try(text).status();
    EXPECT_THAT(refused,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the policy in force")));
    EXPECT_THAT(refused.message(), Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace deferd
