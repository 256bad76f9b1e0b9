// Several nodes over a real Redis that is stopped, emptied, killed and set back.

#include <signal.h>

#include <map>
#include <random>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/window_codec.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/limiter/store/redis_server.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr char kBadDomain[] = "bad.example";
constexpr char kNeverTripsHere[] = "[rule.r]\nmin_bad = 1000000\npercent = 100\n";

class SharingRedis : public testing::Test {
 protected:
  SharingRedis() {
    absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start();
    EXPECT_THAT(started.status(), IsOk());
    if (started.ok()) server_ = *std::move(started);
  }

  // `deadline`: zero takes the nodes' own, which is long.
  Cluster Nodes(int count, const std::string& policy, absl::Duration deadline = {}) {
    // Redis has its own clock: the nodes have that too.
    return Cluster(
        count,
        [address = server_->address(), deadline](SharedStoreOptions options) {
          if (deadline > absl::ZeroDuration()) options.deadline = deadline;
          return NewRedisStore(address, options);
        },
        policy, absl::FromUnixSeconds(absl::ToUnixSeconds(SystemClock().Now())));
  }

  // What Redis has of one node's window, decoded.
  WindowRow RowOfNode(const std::string& domain, const std::string& node) {
    const RowKey key = {Node::Domain(domain), absl::Hours(1)};
    RedisReply reply = server_->Cli({"HGET", RowKeyText(key), node});
    absl::StatusOr<WindowRow> row = DecodeWindowRow(reply.text);
    EXPECT_THAT(row.status(), IsOk()) << domain << " " << node;
    return row.ok() ? *row : WindowRow();
  }

  // All of Redis, and back to it: what a restored dump is.
  std::map<std::string, std::string> Dump() {
    std::map<std::string, std::string> dump;
    for (const RedisReply& key : server_->Cli({"KEYS", "*"}).list) {
      dump[key.text] = server_->Cli({"DUMP", key.text}).text;
    }
    return dump;
  }
  void Restore(const std::map<std::string, std::string>& dump) {
    server_->Cli({"FLUSHALL"});
    for (const auto& [key, value] : dump) server_->Cli({"RESTORE", key, "3600000", value});
  }

  std::unique_ptr<RedisServer> server_;
};

// Contract, oracle 5.
TEST_F(SharingRedis, AfterAStormOfPausesEachRowIsItsNodesMemory) {
  Cluster nodes = Nodes(2, kNeverTripsHere, absl::Milliseconds(5));
  std::mt19937 random(5);
  std::map<std::pair<int, int>, int64_t> fed;  // by domain and node
  for (int round = 0; round < 1000; ++round) {
    const bool paused = random() % 4 == 0;
    if (paused) server_->Signal(SIGSTOP);
    const int node = static_cast<int>(random() % 2);
    const int domain = static_cast<int>(random() % 20);
    nodes[node].Fail(absl::StrCat("d", domain, ".example"));
    ++fed[{domain, node}];
    nodes[node].publisher_->Round();
    if (paused) server_->Signal(SIGCONT);
    if (random() % 10 == 0) nodes.Advance(absl::Seconds(random() % 30));
    // A pause must not last as long as it is in the test.
    if (random() % 50 == 0) nodes[1 - node].publisher_->Round();
  }
  for (int i = 0; i < 2; ++i) {
    // However slow this machine is: some round is fast enough.
    for (int tries = 0; tries < 2000; ++tries) {
      nodes[i].publisher_->Round();
      if (nodes[i].limiter_->nodes().stats().waiting_subjects == 0) break;
      nodes.Advance(absl::Milliseconds(1));
    }
    ASSERT_EQ(nodes[i].limiter_->nodes().stats().waiting_subjects, 0u);
  }
  for (const auto& [where, count] : fed) {
    const auto& [domain, node] = where;
    const WindowRow row = RowOfNode(absl::StrCat("d", domain, ".example"), nodes[node].name_);
    int64_t failed = 0;
    for (const WindowCell& cell : row.cells) failed += cell.counts.failed;
    // The window is an hour, and the test a third of that at most.
    EXPECT_EQ(failed, count) << domain << " " << node;
  }
}

// Contract, oracles 8 and 9: yesterday's dump knows neither the unblock nor the block, and its
// stream ends before the place that the followers are at.
TEST_F(SharingRedis, ARestoredDumpIsSetRightByEveryNode) {
  Cluster nodes = Nodes(3, kFivePolicy);
  nodes[0].Fail(kBadDomain, 6);
  nodes[2].Fail("sum.example", 2);
  nodes.Sync();
  ASSERT_TRUE(nodes[1].Blocked(kBadDomain));
  const auto yesterday = Dump();
  nodes.Advance(absl::Minutes(1));
  ASSERT_THAT(nodes[0].Unblock(kBadDomain), IsOk());
  nodes[1].Block("manual.example");
  nodes[1].Fail("sum.example", 2);
  nodes.Sync();
  ASSERT_FALSE(nodes[1].Blocked(kBadDomain));
  Restore(yesterday);
  // The generation is that of before, so only the full merge tells.
  nodes.Advance(CaseFollower::kMergeEvery);
  nodes.Sync();
  nodes.Sync();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(nodes[i].Blocked(kBadDomain)) << i;
    EXPECT_TRUE(nodes[i].Blocked("manual.example")) << i;
  }
  nodes[0].Start();  // who knows only what the store has
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked("manual.example"));
  EXPECT_FALSE(nodes[0].Blocked(kBadDomain));
  // The row that was set back comes again with the next change of its node.
  nodes[1].Fail("sum.example", 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[2].Blocked("sum.example"));
}

// Contract, oracle 7.
TEST_F(SharingRedis, EmptiedEvictingAndKilledUnderLoadTheSumsAreRight) {
  Cluster nodes = Nodes(3, kNeverTripsHere);
  std::mt19937 random(7);
  std::map<std::string, int64_t> fed;
  for (int round = 0; round < 300; ++round) {
    const std::string domain = absl::StrCat("d", random() % 10, ".example");
    Node& node = nodes[random() % 3];
    const int n = 1 + static_cast<int>(random() % 3);
    node.Fail(domain, n);
    fed[domain] += n;
    if (random() % 3 == 0) node.publisher_->Round();
    if (random() % 40 == 0) server_->Cli({"FLUSHALL"});
    if (random() % 20 == 0) server_->Cli({"SCRIPT", "FLUSH"});
    // What a maxmemory-policy that evicts does.
    if (random() % 20 == 0) server_->Cli({"DEL", server_->Cli({"RANDOMKEY"}).text});
    if (random() % 60 == 0) {
      ASSERT_THAT(server_->Restart(), IsOk());
    }
    if (random() % 20 == 0) nodes.Advance(absl::Seconds(3));
  }
  // A row that was evicted is missed by two heartbeats of its node.
  for (int beat = 0; beat < 4; ++beat) {
    nodes.Advance(Publisher::kBeat);
    nodes.Sync();
  }
  for (const auto& [domain, count] : fed) {
    int64_t sum = 0;
    RedisReply rows = server_->Cli({"HVALS", RowKeyText({Node::Domain(domain), absl::Hours(1)})});
    for (const RedisReply& text : rows.list) {
      absl::StatusOr<WindowRow> row = DecodeWindowRow(text.text);
      ASSERT_THAT(row.status(), IsOk());
      for (const WindowCell& cell : row->cells) sum += cell.counts.failed;
    }
    EXPECT_EQ(sum, count) << domain;
  }
}

// The threads themselves: a block of one node is in the other's table, without anybody's round.
TEST_F(SharingRedis, ThreadsShareByThemselves) {
  Cluster nodes = Nodes(2, kFivePolicy);
  for (int i = 0; i < 2; ++i) {
    nodes[i].publisher_->Start();
    nodes[i].follower_->Start();
  }
  nodes[0].Fail(kBadDomain, 3);
  nodes[1].Fail(kBadDomain, 3);
  for (int i = 0; i < 2; ++i) {
    while (!nodes[i].Blocked(kBadDomain)) std::this_thread::yield();  // ctest has the time limit
  }
  nodes[0].Block("manual.example");
  EXPECT_THAT(nodes[0].publisher_->WaitForCase(Node::Domain("manual.example"), absl::Seconds(60)),
              IsOk());
  for (int i = 0; i < 2; ++i) {
    nodes[i].publisher_->Stop();
    nodes[i].follower_->Stop();
  }
  EXPECT_EQ(server_->Cli({"HLEN", kNodesKey}).integer, 0) << "who ends takes its name out";
}

}  // namespace
}  // namespace deferd
