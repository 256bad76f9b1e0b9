// Several nodes that share over several stores, one of which goes and comes back.

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/sharded_store.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;

class Shards : public ::testing::Test {
 protected:
  Shards() : nodes_(2, [this](const SharedStoreOptions& options) { return NewStore(options); }) {
    for (int i = 0; here_.empty() || there_.empty(); ++i) {
      const std::string domain = absl::StrCat("d", i, ".example");
      (ShardOf(SlotOf(Node::Domain(domain)), 2) == 0 ? here_ : there_) = domain;
    }
    nodes_.Sync();
  }

  std::unique_ptr<SharedStore> NewStore(const SharedStoreOptions& options) {
    std::vector<Shard> shards;
    shards.push_back({"first", servers_[0].NewStore(options)});
    shards.push_back({"second", servers_[1].NewStore(options)});
    return NewShardedStore(std::move(shards));
  }
  void Advance(absl::Duration by) {
    clock_.Advance(by);
    nodes_.Advance(by);
  }
  Publisher::Status StatusOf(int node) { return nodes_[node].publisher_->status(); }

  ManualClock clock_{kMorning + absl::Hours(2)};
  MemorySharedServer servers_[2] = {MemorySharedServer{&clock_}, MemorySharedServer{&clock_}};
  std::string here_, there_;  // a domain of each store
  Cluster nodes_;
};

TEST_F(Shards, NodesAddUpWhateverStoreADomainIsIn) {
  for (const std::string& domain : {here_, there_}) {
    nodes_[0].Fail(domain, 3);
    nodes_.Sync();
    EXPECT_FALSE(nodes_[0].Blocked(domain));
    nodes_[1].Fail(domain, 2);
    nodes_.Sync();
    EXPECT_TRUE(nodes_[0].Blocked(domain));
    EXPECT_TRUE(nodes_[1].Blocked(domain));
  }
  EXPECT_EQ(StatusOf(0).trouble, SharedTrouble::kNone);
}

TEST_F(Shards, WithoutOneItsDomainsAreCountedLocallyAndTheOthersGoOn) {
  nodes_[0].Fail(there_, 3);
  nodes_.Sync();
  servers_[1].SetTrouble(SharedTrouble::kGone);
  Advance(Publisher::kBeat);
  nodes_[1].Fail(there_, 4);
  nodes_[0].Fail(here_, 3);
  nodes_[1].Fail(here_, 2);
  nodes_.Sync();
  for (int node : {0, 1}) {
    EXPECT_TRUE(nodes_[node].Blocked(here_)) << "others go on";
    EXPECT_EQ(StatusOf(node).trouble, SharedTrouble::kGone);
    EXPECT_THAT(StatusOf(node).problem, HasSubstr("second"));
    EXPECT_TRUE(nodes_[node].publisher_->Round().woken) << "at the usual pace";
  }
  nodes_[1].Fail(there_, 1);
  nodes_.Sync();
  EXPECT_TRUE(nodes_[1].Blocked(there_)) << "local counts decide";
  EXPECT_TRUE(nodes_[0].Blocked(there_)) << "and the case is in the first store";

  servers_[1].SetTrouble(SharedTrouble::kNone);
  Advance(Publisher::kBeat);
  nodes_.Sync();
  nodes_.Sync();
  for (int node : {0, 1}) {
    EXPECT_EQ(StatusOf(node).trouble, SharedTrouble::kNone) << StatusOf(node).problem;
    EXPECT_EQ(nodes_[node].limiter_->nodes().stats().waiting_subjects, 0u);
  }
  // A node learns the others' counts with its own next change of the domain.
  nodes_[0].Fail(there_, 1);
  nodes_.Sync();
  EXPECT_EQ(nodes_[0].CountsOf(there_).bad(), 9) << "everything was put again";
}

TEST_F(Shards, OneThatWasEmptiedIsFilledAgain) {
  nodes_[0].Fail(there_, 2);
  nodes_[1].Fail(there_, 2);
  nodes_.Sync();
  servers_[1].Flush();
  Advance(Publisher::kBeat);
  nodes_.Sync();
  nodes_.Sync();
  auto alone = servers_[1].NewStore({.node = "ffffffff"});
  ASSERT_THAT(alone->Connect(), IsOk());
  const std::vector<RowKey> keys = {{Node::Domain(there_), absl::Hours(1), ""}};
  EXPECT_EQ((*alone->ReadRows(keys))[0].rows.size(), 2u);
}

}  // namespace
}  // namespace deferd
