// Several nodes over a real Redis Cluster whose slots move, and whose masters die.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/port/clock.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_slots.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/window_codec.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/limiter/store/redis_cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr char kNeverTrips[] = "[rule.r]\nmin_bad = 1000000\npercent = 100\n";
constexpr int kDomains = 12;

std::string DomainAt(int i) { return absl::StrCat("d", i, ".example"); }

class SharingCluster : public testing::Test {
 protected:
  void Start(const TestRedisCluster::Options& options) {
    servers_ = TestRedisCluster::Start(options);
    ASSERT_NE(servers_, nullptr);
    nodes_ = std::make_unique<Cluster>(
        3,
        [address = servers_->address()](const SharedStoreOptions& store) {
          return NewRedisStore(address, store);
        },
        kNeverTrips, absl::FromUnixSeconds(absl::ToUnixSeconds(SystemClock().Now())));
  }
  Node& NodeAt(size_t i) { return (*nodes_)[i]; }

  void FeedSome() {
    const int domain = static_cast<int>(random_() % kDomains);
    const int n = 1 + static_cast<int>(random_() % 3);
    NodeAt(random_() % 3).Fail(DomainAt(domain), n);
    fed_[domain] += n;
  }

  // Rounds until all that waits is put, and no node has any trouble.
  void Settle() {
    const bool settled = servers_->Until(
        [&] {
          nodes_->Advance(Publisher::kBeat);
          nodes_->Sync();
          bool all = true;
          for (size_t i = 0; i < nodes_->size(); ++i) {
            const ExchangeStats stats = NodeAt(i).limiter_->nodes().stats();
            all = all && NodeAt(i).publisher_->status().trouble == SharedTrouble::kNone &&
                  stats.waiting_subjects == 0 && stats.waiting_cases == 0;
          }
          return all;
        },
        "all is put");
    ASSERT_TRUE(settled) << NodeAt(0).publisher_->status().problem;
  }

  // Every domain's rows are with one master, and add up to what was fed.
  void ExpectTheTruth() {
    std::map<std::string, std::vector<size_t>> owners;
    for (const auto& [key, server] : servers_->Keys()) owners[key].push_back(server);
    for (const auto& [domain, count] : fed_) {
      const std::string key = RowKeyText({Node::Domain(DomainAt(domain)), absl::Hours(1)});
      ASSERT_EQ(owners[key].size(), 1u) << key;
      int64_t sum = 0;
      for (const RedisReply& text : (*servers_)[owners[key][0]].Cli({"HVALS", key}).list) {
        absl::StatusOr<WindowRow> row = DecodeWindowRow(text.text);
        ASSERT_THAT(row.status(), IsOk());
        for (const WindowCell& cell : row->cells) sum += cell.counts.failed;
      }
      EXPECT_EQ(sum, count) << key;
    }
    for (const char* key : {kCasesKey, kCaseLogKey, kNodesKey, kGenerationKey}) {
      EXPECT_EQ(owners[key].size(), 1u) << key;
    }
  }

  // A case of each person's command is the same on all nodes.
  void ExpectTheCases() {
    for (const auto& [name, blocked] : cases_) {
      for (size_t i = 0; i < nodes_->size(); ++i) {
        EXPECT_EQ(NodeAt(i).Blocked(name), blocked) << name << " " << i;
      }
    }
  }
  void BlockOrUnblock(size_t node, const std::string& name) {
    if (NodeAt(node).Blocked(name)) {
      ASSERT_THAT(NodeAt(node).Unblock(name), IsOk());
      cases_[name] = false;
    } else {
      NodeAt(node).Block(name);
      cases_[name] = true;
    }
  }

  std::mt19937 random_{23};
  std::unique_ptr<TestRedisCluster> servers_;
  std::unique_ptr<Cluster> nodes_;
  std::map<int, int64_t> fed_;
  std::map<std::string, bool> cases_;
};

TEST_F(SharingCluster, SlotsThatMoveUnderLoadLoseAndDoubleNothing) {
  ASSERT_NO_FATAL_FAILURE(Start({.without_slots = 1}));
  std::set<int> moving = {RedisSlotOf(kCasesKey), RedisSlotOf(kNodesKey)};
  for (int i = 0; i < kDomains; ++i) {
    moving.insert(RedisSlotOf(RowKeyText({Node::Domain(DomainAt(i)), absl::Hours(1)})));
  }
  std::map<int, size_t> owner;
  for (size_t i = 0; i < 3; ++i) {
    for (int slot : moving) {
      if (slot >= static_cast<int>(kRedisSlots * i / 3)) owner[slot] = i;
    }
  }
  NodeAt(0).Block("first.example");
  cases_["first.example"] = true;
  nodes_->Sync();
  auto load = [&](const std::string& name) {
    for (int i = 0; i < 4; ++i) FeedSome();
    BlockOrUnblock(0, name);
    for (size_t i = 0; i < nodes_->size(); ++i) {
      NodeAt(i).publisher_->Round();
      NodeAt(i).follower_->Round(absl::ZeroDuration()).IgnoreError();
    }
    if (random_() % 4 == 0) nodes_->Advance(absl::Seconds(1));
  };
  int moved = 0;
  for (int slot : moving) {
    // The one without slots gets its first.
    const size_t from = owner[slot];
    const size_t to = moved++ % 2 == 0 ? 3 : (from + 1) % 3;
    const std::string name = absl::StrCat("m", moved, ".example");
    load(name);
    servers_->BeginMove(slot, from, to);
    load(name);
    while (servers_->MoveKey(slot, from, to)) load(name);
    servers_->EndMove(slot, to);
    load(name);
  }
  Settle();
  ExpectTheTruth();
  ExpectTheCases();
  // What the servers said was what this is about.
  EXPECT_GT(servers_->Answered("MOVED"), 0);
  EXPECT_GT(servers_->Answered("ASK"), 0);
  EXPECT_GT(servers_->Answered("TRYAGAIN"), 0);
}

TEST_F(SharingCluster, AMasterThatDiesOrHandsOverIsFollowed) {
  ASSERT_NO_FATAL_FAILURE(
      Start({.replicas = true, .arguments = {"--cluster-node-timeout", "1000"}}));
  NodeAt(0).Block("before.example");
  cases_["before.example"] = true;
  for (int i = 0; i < 50; ++i) FeedSome();
  Settle();
  // The master of the cases dies.
  const size_t dead = servers_->MasterOf(kCasesKey);
  (*servers_)[dead].Kill();
  for (int i = 0; i < 50; ++i) {
    FeedSome();
    NodeAt(static_cast<size_t>(i) % 3).publisher_->Round();
  }
  BlockOrUnblock(1, "before.example");
  BlockOrUnblock(2, "during.example");
  auto is_master = [&](size_t server) {
    const RedisReply role = (*servers_)[server].Cli({"ROLE"});
    return !role.list.empty() && role.list[0].text == "master";
  };
  ASSERT_TRUE(servers_->Until([&] { return is_master(servers_->ReplicaOf(dead)); },
                              "the replica takes over"));
  Settle();
  ExpectTheTruth();
  ExpectTheCases();

  // Another one hands over to its replica, while all goes on.
  const size_t old = (dead + 1) % 3;
  const size_t heir = servers_->ReplicaOf(old);
  ASSERT_TRUE(servers_->Until(
      [&] {
        FeedSome();
        NodeAt(random_() % 3).publisher_->Round();
        if (is_master(heir) && !is_master(old)) return true;
        (*servers_)[heir].Cli({"CLUSTER", "FAILOVER"});
        return false;
      },
      "the replica takes over"));
  for (int i = 0; i < 20; ++i) FeedSome();
  Settle();
  ExpectTheTruth();
  ExpectTheCases();
}

TEST_F(SharingCluster, AClusterThatIsDownIsNamedAndFilledAgain) {
  ASSERT_NO_FATAL_FAILURE(Start({.arguments = {"--cluster-node-timeout", "1000"}}));
  BlockOrUnblock(0, "before.example");
  for (int i = 0; i < 50; ++i) FeedSome();
  Settle();
  const size_t dead = servers_->MasterOf(kNodesKey);
  const size_t other = (dead + 1) % 3;
  (*servers_)[dead].Kill();
  ASSERT_TRUE(servers_->Until([&] { return servers_->Says(other, "cluster_state:fail"); },
                              "the cluster is down"));
  std::set<SharedTrouble> troubles;
  for (int i = 0; i < 50; ++i) {
    FeedSome();
    nodes_->Advance(Publisher::kBeat);
    Node& node = NodeAt(static_cast<size_t>(i) % 3);
    node.publisher_->Round();
    troubles.insert(node.publisher_->status().trouble);
  }
  EXPECT_FALSE(troubles.contains(SharedTrouble::kNone));
  EXPECT_FALSE(troubles.contains(SharedTrouble::kUnexpected));
  ASSERT_THAT((*servers_)[dead].Restart(), IsOk());
  Settle();
  ExpectTheTruth();
  ExpectTheCases();
}

}  // namespace
}  // namespace deferd
