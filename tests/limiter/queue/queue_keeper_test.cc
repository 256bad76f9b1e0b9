#include "limiter/queue/queue_keeper.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/queue/queue_fixture.h"

namespace deferd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class QueueKeeperTest : public QueueFixture {
 protected:
  QueueKeeperTest() {
    freshness_.Set({}, kMorning);
    keeper_ = std::make_unique<QueueKeeper>(
        &mail_queue_, &gate_, &cases_, &held_,
        [](const std::string&, std::optional<int64_t>) { /* nothing outlives the test */ });
    keeper_->Start({});
    Look();  // the first look is over: the clock never moves while the keeper is at work
  }

  // Waits for a whole look at the queue, `later` than the last one; what was not done of `ids`.
  std::map<std::string, std::string> Look(const std::vector<std::string>& ids = {},
                                          absl::Duration later = absl::ZeroDuration()) {
    clock_.Advance(later);
    return keeper_->LookNow(ids, absl::Hours(1));
  }

  Freshness freshness_{kMorning};
  Gate gate_{&cases_, &freshness_, &clock_, settings_, &held_};
  std::unique_ptr<QueueKeeper> keeper_;  // ends before all that it works on
};

TEST_F(QueueKeeperTest, HoldsTheMailOfABlockedSubject) {
  Queue("A1", "bob@bad.example");
  Queue("A2", "ann@good.example");
  Look();
  EXPECT_THAT(Ordered(), IsEmpty());
  Block("bad.example");
  Look();
  EXPECT_THAT(Ordered(), ElementsAre("hold A1"));
  EXPECT_THAT(Recorded(), IsEmpty()) << "until the queue shows that it is held";
  Look();
  EXPECT_THAT(Recorded(), ElementsAre("A1 held: held by deferd: its sender is blocked"));
  EXPECT_EQ(keeper_->numbers().held, 1);
  const Json status = keeper_->StatusJson();
  EXPECT_EQ(status["messages"], 1);
  EXPECT_EQ(status["held"][0]["subject"], "bad.example");
  EXPECT_EQ(status["held"][0]["blocked"], true);
}

TEST_F(QueueKeeperTest, AnOrderNotCarriedOutIsReportedUntilItIs) {
  Queue("A1", "bob@bad.example");
  Refuse("A1", "postsuper: queue file is busy");
  Block("bad.example");
  EXPECT_THAT(Look({"A1", "A2"}), ElementsAre(Pair("A1", "postsuper: queue file is busy")));
  EXPECT_EQ(keeper_->numbers().not_done, 1);
  EXPECT_EQ(keeper_->StatusJson()["not_done"][0]["order"], "hold");
}

TEST_F(QueueKeeperTest, SettingTheClockBackStopsNeitherLooksNorReleases) {
  Queue("A1", "bob@bad.example", /*held=*/true);
  Block("bad.example");
  Look();
  Ordered();
  held_.Release({"A1"});
  Look();
  EXPECT_THAT(Ordered(), ElementsAre("release A1"));
  clock_.Step(-absl::Hours(5));
  Queue("A1", "bob@bad.example", /*held=*/true);  // somebody held it again
  Look();
  EXPECT_THAT(Ordered(), ElementsAre("release A1"));
}

TEST_F(QueueKeeperTest, ReleasesWhatAPersonReleases) {
  Queue("A1", "bob@bad.example", /*held=*/true);
  Block("bad.example");
  Look();
  Ordered();
  held_.Release({"A1"});
  EXPECT_THAT(Look({"A1"}), IsEmpty());
  EXPECT_THAT(Ordered(), ElementsAre("release A1"));
  EXPECT_THAT(Recorded(), Contains("A1 queued: released by deferd"));
}

// The helper empties the table when deferd stops sending it.
TEST_F(QueueKeeperTest, SendsTheSenderTableAtEveryLook) {
  Look();
  EXPECT_THAT(Deferred()["domains"], IsEmpty());
  Block("bad.example");
  Look();
  EXPECT_TRUE(Deferred()["domains"].contains("bad.example"));
  EXPECT_EQ(keeper_->StatusJson()["sender_table"], "/table");
}

TEST_F(QueueKeeperTest, AnUnreachableHelperIsSaidAndTriedAgain) {
  Queue("A1", "bob@bad.example");
  Look();
  EXPECT_EQ(keeper_->StatusJson()["problem"], nullptr);
  SetAway(true);
  Block("bad.example");
  Look();
  EXPECT_THAT(keeper_->StatusJson()["problem"].dump(), HasSubstr("away"));
  SetAway(false);
  Look();
  EXPECT_EQ(keeper_->StatusJson()["problem"], nullptr);
  Look({}, Holder::kAgain);
  EXPECT_THAT(Ordered(), Contains("hold A1"));
}

TEST_F(QueueKeeperTest, StopEndsAWaitingLook) {
  keeper_->Stop();
  EXPECT_THAT(keeper_->LookNow({"A1"}, absl::Hours(1)), IsEmpty());
}

}  // namespace
}  // namespace deferd
