#include "limiter/app/reload_guard.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

std::string LimitOf(int min_bad, const std::string& mode = "enforce") {
  return absl::StrCat("mode = \"", mode, "\"\n[rule.r]\nmin_bad = ", min_bad, "\npercent = 50\n");
}

// Ten domains, one message each at least; d0 and d1 have five failures.
class ReloadGuardTest : public testing::Test, public LimiterFixture {
 protected:
  ReloadGuardTest() : LimiterFixture(LimitOf(100), At(absl::Hours(3))) {
    for (int i = 0; i < 10; ++i) {
      const std::string domain = absl::StrCat("d", i, ".example");
      FeedMany(i < 2 ? 5 : 1, domain, absl::Minutes(i),
               i < 2 ? Outcome::kFailed : Outcome::kDelivered);
    }
    EXPECT_THAT(committer_->Commit(), IsOk());
  }
  absl::Status Check(double percent, const std::string& before, const std::string& after,
                     bool out_of_time = false) {
    const ReloadGuard guard = {
        .percent = percent,
        .day = {.lists = &lists_,
                .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
                .now = clock_.Now(),
                .out_of_time = [&] { return out_of_time; }}};
    unknown_.clear();
    return guard.Check(ParsedPolicy(before), ParsedPolicy(after), &unknown_);
  }

  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();
  ChargeLists lists_;
  std::string unknown_;
};

TEST_F(ReloadGuardTest, RefusesWhatAltersMoreOfTheSubjectsAndSaysWhom) {
  EXPECT_THAT(Check(50, LimitOf(100), LimitOf(5)), IsOk());
  const absl::Status refused = Check(5, LimitOf(100), LimitOf(5));
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("2 newly blocked (d0.example, d1.example)"));
  EXPECT_THAT(refused.message(), HasSubstr("--force"));
  EXPECT_THAT(Check(5, LimitOf(5), LimitOf(100)).message(), HasSubstr("2 newly free"));
  EXPECT_THAT(Check(0, LimitOf(5), LimitOf(4)), IsOk()) << "the same are blocked, for as long";
  EXPECT_EQ(unknown_, "");
}

TEST_F(ReloadGuardTest, TheModeIsPartOfTheChange) {
  EXPECT_THAT(Check(5, LimitOf(100), LimitOf(5, "shadow")), IsOk());
  EXPECT_THAT(Check(5, LimitOf(5, "shadow"), LimitOf(5)).message(), HasSubstr("2 newly blocked"));
  EXPECT_THAT(Check(5, LimitOf(5), LimitOf(5, "shadow")).message(), HasSubstr("2 newly free"));
}

TEST_F(ReloadGuardTest, WhatIsOutOfTimeRefusesNothingAndIsSaid) {
  EXPECT_THAT(Check(5, LimitOf(100), LimitOf(5), /*out_of_time=*/true), IsOk());
  EXPECT_THAT(unknown_, HasSubstr("only 0 attempts"));
}

}  // namespace
}  // namespace deferd
