#include "limiter/counting/contributions.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

MessageKey Key(int n) { return {absl::StrCat("m", n), absl::FromUnixSeconds(n)}; }

TEST(Contributions, RemembersAMessageUntilItIsForgotten) {
  Contributions contributions(100, /*tell_changes=*/false);
  contributions.OfMessage(Key(1)).recipients["r@x"].outcome = CountedOutcome::kDeferred;
  EXPECT_EQ(contributions.OfMessage(Key(1)).recipients["r@x"].outcome, CountedOutcome::kDeferred);
  contributions.Forget(Key(1));
  EXPECT_FALSE(contributions.OfMessage(Key(1)).recipients["r@x"].outcome.has_value());
}

TEST(Contributions, TheSameIdAtAnotherArrivalIsAnotherMessage) {
  Contributions contributions(100, /*tell_changes=*/false);
  contributions.OfMessage({"m", absl::FromUnixSeconds(1)}).recipients["r@x"];
  EXPECT_TRUE(contributions.OfMessage({"m", absl::FromUnixSeconds(2)}).recipients.empty());
}

TEST(Contributions, EvictsTheOldestAndSaysHowMany) {
  Contributions contributions(1'000, /*tell_changes=*/false);
  for (int i = 0; i < 1'001; ++i) contributions.OfMessage(Key(i)).recipients["r@x"];
  EXPECT_EQ(contributions.evicted(), 101);
  EXPECT_EQ(contributions.size(), 900u);
  EXPECT_FALSE(contributions.OfMessage(Key(1'000)).recipients.empty());
  EXPECT_TRUE(contributions.OfMessage(Key(0)).recipients.empty());
}

}  // namespace
}  // namespace deferd
