#include "limiter/counting/contributions.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

MessageKey Key(int n) { return {absl::StrCat("m", n), absl::FromUnixSeconds(n)}; }

RecipientRecord& Of(Contributions* contributions, const MessageKey& key) {
  return *contributions->OfRecipient("r@x", &contributions->OfMessage(key)).record;
}

TEST(Contributions, RemembersAMessageUntilItIsForgotten) {
  Contributions contributions(100, 1'000, /*track_changes=*/false);
  Of(&contributions, Key(1)).outcome = CountedOutcome::kDeferred;
  EXPECT_EQ(Of(&contributions, Key(1)).outcome, CountedOutcome::kDeferred);
  contributions.Forget(Key(1));
  EXPECT_FALSE(Of(&contributions, Key(1)).outcome.has_value());
}

TEST(Contributions, TheSameIdAtAnotherArrivalIsAnotherMessage) {
  Contributions contributions(100, 1'000, /*track_changes=*/false);
  Of(&contributions, {"m", absl::FromUnixSeconds(1)});
  EXPECT_EQ(contributions.OfMessage({"m", absl::FromUnixSeconds(2)}).recipients.size(), 0u);
}

TEST(Contributions, EvictsTheOldestAndSaysHowMany) {
  Contributions contributions(1'000, 10'000, /*track_changes=*/false);
  for (int i = 0; i < 1'001; ++i) Of(&contributions, Key(i));
  EXPECT_EQ(contributions.evicted(), 101);
  EXPECT_EQ(contributions.size(), 900u);
  EXPECT_EQ(contributions.OfMessage(Key(1'000)).recipients.size(), 1u);
  EXPECT_EQ(contributions.OfMessage(Key(0)).recipients.size(), 0u);
}

}  // namespace
}  // namespace deferd
