#include "tests/limiter/store/redis_cluster.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/port/clock.h"
#include "limiter/store/redis_slots.h"

namespace deferd {

std::unique_ptr<TestRedisCluster> TestRedisCluster::Start(const Options& options) {
  std::unique_ptr<TestRedisCluster> cluster(new TestRedisCluster());
  cluster->masters_ = static_cast<size_t>(options.masters);
  const int servers =
      options.masters + options.without_slots + (options.replicas ? options.masters : 0);
  std::vector<std::string> arguments = options.arguments;
  arguments.insert(arguments.end(), {"--repl-diskless-sync-delay", "0"});
  for (int i = 0; i < servers; ++i) {
    absl::StatusOr<std::unique_ptr<RedisServer>> server =
        RedisServer::StartForCluster(options.port, arguments);
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      return nullptr;
    }
    (*server)->SetAdmin(options.user, options.password);
    cluster->servers_.push_back(*std::move(server));
  }
  return cluster->Form(options) ? std::move(cluster) : nullptr;
}

bool TestRedisCluster::Form(const Options& options) {
  for (size_t i = 0; i < servers_.size(); ++i) {
    servers_[i]->Cli({"CLUSTER", "SET-CONFIG-EPOCH", absl::StrCat(i + 1)});
    if (i >= masters_) continue;
    servers_[i]->Cli({"CLUSTER", "ADDSLOTSRANGE", absl::StrCat(kRedisSlots * i / masters_),
                      absl::StrCat(kRedisSlots * (i + 1) / masters_ - 1)});
  }
  for (size_t i = 1; i < servers_.size(); ++i) {
    servers_[0]->Cli({"CLUSTER", "MEET", "127.0.0.1", absl::StrCat(servers_[i]->endpoint().port),
                      absl::StrCat(servers_[i]->bus_port())});
  }
  const std::string all_known = absl::StrCat("cluster_known_nodes:", servers_.size());
  for (size_t i = 0; i < servers_.size(); ++i) {
    const bool whole = Until([&] { return Says(i, all_known) && Says(i, "cluster_state:ok"); },
                             "the servers know one another");
    if (!whole) return false;
  }
  if (!options.replicas) return true;
  for (size_t i = 0; i < masters_; ++i) {
    RedisServer& replica = *servers_[ReplicaOf(i)];
    const std::string master = Id(i);
    const bool replicated =
        Until(
            [&] {
              return replica.Cli({"CLUSTER", "REPLICATE", master}).text == "OK";
            },
            "the replica knows its master") &&
        Until(
            [&] {
              return absl::StrContains(replica.Cli({"INFO", "replication"}).text,
                                       "master_link_status:up");
            },
            "replicated");
    if (!replicated) return false;
  }
  return true;
}

RedisAddress TestRedisCluster::address() const {
  RedisAddress address;
  for (const auto& server : servers_) address.cluster.push_back(server->endpoint());
  return address;
}

size_t TestRedisCluster::MasterOf(absl::string_view key) const {
  const size_t slot = static_cast<size_t>(RedisSlotOf(key));
  size_t master = 0;
  while (slot >= kRedisSlots * (master + 1) / masters_) ++master;
  return master;
}

std::vector<std::pair<std::string, size_t>> TestRedisCluster::Keys() {
  std::vector<std::pair<std::string, size_t>> keys;
  for (size_t i = 0; i < servers_.size(); ++i) {
    // A replica has them too.
    const RedisReply role = servers_[i]->Cli({"ROLE"});
    if (role.list.empty() || role.list[0].text != "master") continue;
    for (const RedisReply& key : servers_[i]->Cli({"KEYS", "*"}).list) {
      keys.emplace_back(key.text, i);
    }
  }
  return keys;
}

void TestRedisCluster::Flush() {
  for (const auto& server : servers_) server->Cli({"FLUSHALL"});
}

void TestRedisCluster::BeginMove(int slot, size_t from, size_t to) {
  const std::string text = absl::StrCat(slot);
  servers_[to]->Cli({"CLUSTER", "SETSLOT", text, "IMPORTING", Id(from)});
  servers_[from]->Cli({"CLUSTER", "SETSLOT", text, "MIGRATING", Id(to)});
}

bool TestRedisCluster::MoveKey(int slot, size_t from, size_t to) {
  const RedisReply keys =
      servers_[from]->Cli({"CLUSTER", "GETKEYSINSLOT", absl::StrCat(slot), "1"});
  if (keys.list.empty()) return false;
  const RedisReply moved =
      servers_[from]->Cli({"MIGRATE", "127.0.0.1", absl::StrCat(servers_[to]->endpoint().port),
                           keys.list[0].text, "0", "30000"});
  EXPECT_EQ(moved.text, "OK");
  return true;
}

void TestRedisCluster::EndMove(int slot, size_t to) {
  const std::string id = Id(to);
  servers_[to]->Cli({"CLUSTER", "SETSLOT", absl::StrCat(slot), "NODE", id});
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (i != to) servers_[i]->Cli({"CLUSTER", "SETSLOT", absl::StrCat(slot), "NODE", id});
  }
}

bool TestRedisCluster::Until(absl::FunctionRef<bool()> so, const char* what) {
  const absl::Time end = SystemClock().Now() + absl::Minutes(1);
  while (!so()) {
    if (SystemClock().Now() < end) continue;
    ADD_FAILURE() << "not within a minute: " << what;
    return false;
  }
  return true;
}

bool TestRedisCluster::Says(size_t server, absl::string_view state) {
  return absl::StrContains(servers_[server]->Cli({"CLUSTER", "INFO"}).text, state);
}

int TestRedisCluster::Answered(absl::string_view error) {
  int sum = 0;
  for (const auto& server : servers_) {
    const std::string said = server->Cli({"INFO", "errorstats"}).text;
    const std::string name = absl::StrCat("errorstat_", error, ":count=");
    const size_t at = said.find(name);
    if (at != std::string::npos) sum += std::atoi(said.c_str() + at + name.size());
  }
  return sum;
}

}  // namespace deferd
