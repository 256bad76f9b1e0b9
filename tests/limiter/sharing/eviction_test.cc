// A store that forgets single keys or fields of its own accord: a Redis that evicts, or a person's
// DEL or HDEL.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/redis_keys.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::SizeIs;

constexpr char kEvicted[] = "bad.example";

std::string EvictedKey(const std::string& domain = kEvicted) {
  return RowKeyText({Node::Domain(domain), absl::Hours(1)});
}

// What the store has of the nodes.
std::vector<SharedRow> StoredRows(MemoryCluster* nodes, const std::string& domain = kEvicted) {
  auto reader = nodes->server_.NewStore({.node = "cccccccc"});
  EXPECT_THAT(reader->Connect(), IsOk());
  return (*reader->ReadRows({{Node::Domain(domain), absl::Hours(1)}}))[0].rows;
}

// Heartbeats, without any mail.
void Beats(MemoryCluster* nodes, int count) {
  for (int i = 0; i < count; ++i) {
    nodes->Advance(Publisher::kBeat);
    nodes->Sync();
  }
}

// Three failures at the first node, one at the second; each knows of the other's.
void FailOnBoth(MemoryCluster* nodes) {
  (*nodes)[0].Fail(kEvicted, 3);
  nodes->Sync();
  (*nodes)[1].Fail(kEvicted, 1);
  nodes->Sync();
}

TEST(Eviction, DeliveriesOfANodeThatIsThereStillDiluteThoughItsRowIsGone) {
  MemoryCluster nodes(2);
  nodes[0].Deliver(kEvicted, 100);
  nodes.Sync();
  nodes[1].Fail(kEvicted, 1);
  nodes.Sync();
  ASSERT_EQ(nodes[1].CountsOf(kEvicted).delivered, 100);
  nodes.server_.Forget(EvictedKey());
  nodes[1].Fail(kEvicted, 5);
  nodes[1].publisher_->Round();
  EXPECT_EQ(nodes[1].CountsOf(kEvicted), (Counts{.delivered = 100, .failed = 6}));
  EXPECT_FALSE(nodes[1].Blocked(kEvicted)) << "6 of 106";
}

TEST(Eviction, BadMailOfANodeThatIsThereCountsThoughItsRowIsGone) {
  for (const bool whole_key : {false, true}) {
    SCOPED_TRACE(whole_key);
    MemoryCluster nodes(2);
    FailOnBoth(&nodes);
    if (whole_key) {
      nodes.server_.Forget(EvictedKey());
    } else {
      nodes.server_.Forget(EvictedKey(), nodes[0].name_);
    }
    nodes[1].Deliver(kEvicted);
    nodes[1].publisher_->Round();
    nodes[1].Fail(kEvicted, 1);
    nodes[1].publisher_->Round();
    EXPECT_TRUE(nodes[1].Blocked(kEvicted)) << "3 and 2";
  }
}

// Whoever never read the row, or has forgotten it by a restart, needs it put again.
TEST(Eviction, ARowThatIsGoneIsPutAgainByItsNodeThoughItsLogIsQuiet) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kEvicted, 3);
  nodes[0].Deliver("other.example");
  nodes.Sync();
  nodes.server_.Forget(EvictedKey());
  nodes.server_.Forget(EvictedKey("other.example"), nodes[0].name_);
  nodes[1].Fail(kEvicted, 2);
  nodes[1].publisher_->Round();
  EXPECT_FALSE(nodes[1].Blocked(kEvicted)) << "it cannot know";
  Beats(&nodes, 3);
  EXPECT_TRUE(nodes[0].Blocked(kEvicted) && nodes[1].Blocked(kEvicted));
  EXPECT_THAT(StoredRows(&nodes), SizeIs(2));
  EXPECT_THAT(StoredRows(&nodes, "other.example"), SizeIs(1));
  EXPECT_EQ(nodes[0].limiter_->nodes().stats().lost_subjects, 2);
  EXPECT_EQ(nodes[1].limiter_->nodes().stats().lost_subjects, 0);
}

// A page read meanwhile must not be what makes the bad mail known that nobody has judged.
TEST(Eviction, WhatAPageReadsMeanwhileIsJudgedAllTheSame) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kEvicted, 3);
  nodes.Sync();
  nodes.server_.Forget(EvictedKey());
  nodes[1].Fail(kEvicted, 2);
  nodes[1].publisher_->Round();
  auto reader = nodes.server_.NewStore({.node = nodes[0].name_});
  ASSERT_THAT(reader->Connect(), IsOk());
  const std::vector<RowKey> keys = nodes[0].limiter_->nodes().RowKeysOf(Node::Domain(kEvicted));
  nodes[0].limiter_->nodes().RowsRead(keys, *reader->ReadRows(keys));
  Beats(&nodes, 3);
  EXPECT_TRUE(nodes[0].Blocked(kEvicted));
  EXPECT_TRUE(nodes[1].Blocked(kEvicted));
}

TEST(Eviction, AllRowsAreCheckedInTurnAndThoseThatAreThereAreNotPut) {
  MemoryCluster nodes(2);
  constexpr int kDomains = 250;
  for (int i = 0; i < kDomains; ++i) nodes[0].Fail(absl::StrCat("d", i, ".example"));
  nodes.Sync();
  const int64_t put = nodes[0].publisher_->status().rows_put;
  Beats(&nodes, 20);
  EXPECT_EQ(nodes[0].publisher_->status().rows_put, put);
  for (int i = 0; i < kDomains; ++i)
    nodes.server_.Forget(EvictedKey(absl::StrCat("d", i, ".example")));
  Beats(&nodes, 30);
  for (int i = 0; i < kDomains; ++i) {
    EXPECT_THAT(StoredRows(&nodes, absl::StrCat("d", i, ".example")), SizeIs(1)) << i;
  }
  EXPECT_EQ(nodes[0].limiter_->nodes().stats().lost_subjects, kDomains);
}

// Not yet stored here, so not to be put, and not lost either.
TEST(Eviction, WhatWasNeverPutIsNotLost) {
  MemoryCluster nodes(1);
  nodes.Sync();
  nodes[0].Record(LimiterFixture::MakeAttempt(kEvicted, nodes[0].clock_.Now(), Outcome::kFailed));
  nodes[0].publisher_->Round();
  nodes.Advance(Publisher::kBeat);
  nodes[0].publisher_->Round();
  EXPECT_THAT(nodes[0].committer_->Commit(), IsOk());
  Beats(&nodes, 3);
  EXPECT_EQ(nodes[0].limiter_->nodes().stats().lost_subjects, 0);
  EXPECT_THAT(StoredRows(&nodes), SizeIs(1));
}

// Who is gone for good puts nothing again: a row that somebody took out stays out.
TEST(Eviction, TheRowOfANodeThatIsGoneStaysOutOnceItIsTakenOut) {
  MemoryCluster nodes(2);
  FailOnBoth(&nodes);
  nodes[0].publisher_->Stop();
  for (absl::Duration gone; gone < SharedStore::kLive; gone += Publisher::kBeat) {
    nodes.Advance(Publisher::kBeat);
    nodes[1].publisher_->Round();
  }
  nodes[1].Deliver(kEvicted);
  nodes[1].publisher_->Round();
  EXPECT_EQ(nodes[1].CountsOf(kEvicted).bad(), 4) << "the row is there, and counts";
  nodes.server_.Forget(EvictedKey(), nodes[0].name_);
  nodes[1].Deliver(kEvicted);
  nodes[1].publisher_->Round();
  EXPECT_EQ(nodes[1].CountsOf(kEvicted).bad(), 1);
}

TEST(Eviction, WhatIsKeptOfARowAgesAndIsClearedAsTheRowWouldBe) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kEvicted, 3);
  nodes[0].Fail("old.example", 3);
  nodes.Sync();
  nodes[1].Fail(kEvicted, 2);
  nodes[1].Fail("old.example", 1);
  nodes.Sync();
  ASSERT_TRUE(nodes[1].Blocked(kEvicted));
  nodes.server_.Forget(EvictedKey());
  nodes.Advance(absl::Minutes(2));
  ASSERT_THAT(nodes[1].Unblock(kEvicted), IsOk());
  nodes[1].Fail(kEvicted, 1);
  nodes[1].publisher_->Round();
  EXPECT_LE(nodes[1].CountsOf(kEvicted).bad(), 1) << "at most what came after the unblock";
  Beats(&nodes, 3);
  EXPECT_FALSE(nodes[0].Blocked(kEvicted) || nodes[1].Blocked(kEvicted));

  nodes.Advance(absl::Minutes(59));
  nodes.Sync();
  nodes.server_.Forget(EvictedKey("old.example"));
  nodes[1].Fail("old.example", 4);
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf("old.example").bad(), 4);
  EXPECT_FALSE(nodes[1].Blocked("old.example"));
}

TEST(Eviction, ANodeCorrectsWhatWasKeptOfIt) {
  MemoryCluster nodes(2);
  const auto attempt = [&](Outcome outcome) {
    nodes[0].Record(
        LimiterFixture::MakeAttempt(kEvicted, nodes[0].clock_.Now(), outcome, "m", "r@x"));
    EXPECT_THAT(nodes[0].committer_->Commit(), IsOk());
  };
  attempt(Outcome::kDeferred);
  nodes.Sync();
  nodes[1].Fail(kEvicted, 1);
  nodes.Sync();
  nodes.server_.Forget(EvictedKey());
  nodes[1].Deliver(kEvicted);
  nodes[1].publisher_->Round();
  EXPECT_EQ(nodes[1].CountsOf(kEvicted).bad(), 2);
  nodes.Advance(absl::Seconds(1));
  attempt(Outcome::kDelivered);
  nodes.Sync();
  nodes[1].Deliver(kEvicted);
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf(kEvicted).bad(), 1);
}

TEST(Eviction, CasesComeAgainWithTheNextFullMerge) {
  for (const bool whole_key : {false, true}) {
    SCOPED_TRACE(whole_key);
    MemoryCluster nodes(2);
    nodes[0].Fail(kEvicted, 5);
    nodes[1].Block("manual.example");
    nodes[0].Fail("free.example", 5);
    nodes.Sync();
    nodes.Advance(absl::Minutes(1));
    ASSERT_THAT(nodes[0].Unblock("free.example"), IsOk());
    nodes.Sync();
    if (whole_key) {
      nodes.server_.Forget(kCasesKey);
      nodes.server_.Forget(kCaseLogKey);
    } else {
      for (const char* name : {kEvicted, "manual.example", "free.example"}) {
        nodes.server_.Forget(kCasesKey, CaseField(Node::Domain(name), false));
      }
    }
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(nodes[i].Blocked(kEvicted)) << i;
    nodes.Advance(CaseFollower::kMergeEvery);
    nodes.Sync();
    auto reader = nodes.server_.NewStore({.node = "cccccccc"});
    ASSERT_THAT(reader->Connect(), IsOk());
    EXPECT_THAT(*reader->ReadCases(), SizeIs(3));
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(nodes[i].Blocked(kEvicted)) << i;
      EXPECT_TRUE(nodes[i].Blocked("manual.example")) << i;
      EXPECT_FALSE(nodes[i].Blocked("free.example")) << i;
    }
    EXPECT_EQ(nodes.nodes_.Announced(), 2) << "those of the rule, each once";
    ASSERT_THAT(nodes[0].Unblock("manual.example"), IsOk());
    nodes.Sync();
    EXPECT_FALSE(nodes[1].Blocked("manual.example"));
  }
}

TEST(Eviction, WithoutTheGenerationEverythingIsPutAgainAndCountsOnce) {
  MemoryCluster nodes(2);
  FailOnBoth(&nodes);
  nodes[0].Deliver(kEvicted);
  nodes.Sync();
  nodes.server_.Forget(EvictedKey());
  nodes.server_.Forget(kGenerationKey);
  Beats(&nodes, 2);
  EXPECT_EQ(nodes[0].CountsOf(kEvicted).bad(), 4);
  EXPECT_EQ(nodes[1].CountsOf(kEvicted).bad(), 4);
  EXPECT_THAT(StoredRows(&nodes), SizeIs(2));
}

TEST(Eviction, ANodeWhoseEntryIsGoneIsThereStill) {
  for (const bool whole_key : {false, true}) {
    SCOPED_TRACE(whole_key);
    MemoryCluster nodes(2);
    FailOnBoth(&nodes);
    nodes.server_.Forget(EvictedKey());
    if (whole_key) {
      nodes.server_.Forget(kNodesKey);
    } else {
      nodes.server_.Forget(kNodesKey, nodes[0].name_);
    }
    nodes.Advance(Publisher::kBeat);
    nodes[1].Fail(kEvicted, 1);
    nodes[1].publisher_->Round();
    EXPECT_EQ(nodes[1].CountsOf(kEvicted).bad(), 5);
    EXPECT_TRUE(nodes[1].Blocked(kEvicted));
    Beats(&nodes, 2);
    EXPECT_THAT(nodes[1].publisher_->status().nodes, SizeIs(2));
  }
}

// A restart of a store that keeps nothing takes longer than a node is live without a heartbeat.
TEST(Eviction, WhoWasThereWhenTheStoreWentIsGivenTimeToComeBack) {
  MemoryCluster nodes(2);
  nodes[0].Deliver(kEvicted, 100);
  nodes.Sync();
  nodes[1].Fail(kEvicted, 1);
  nodes.Sync();
  nodes.server_.SetTrouble(SharedTrouble::kGone);
  nodes.Sync();
  nodes.server_.Flush();
  nodes.Advance(absl::Minutes(1));
  nodes.server_.SetTrouble(SharedTrouble::kNone);
  nodes[1].Fail(kEvicted, 5);
  nodes[1].publisher_->Round();
  EXPECT_FALSE(nodes[1].Blocked(kEvicted)) << "6 of 106";
  nodes.Sync();
  nodes[1].Deliver(kEvicted);
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf(kEvicted), (Counts{.delivered = 101, .failed = 6}));
}

}  // namespace
}  // namespace deferd
