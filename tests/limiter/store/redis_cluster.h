// A Redis Cluster of a test's own: masters on free ports, who have all slots in equal shares, and
// replicas. Ends with the object.

#ifndef DEFERD_TESTS_LIMITER_STORE_REDIS_CLUSTER_H_
#define DEFERD_TESTS_LIMITER_STORE_REDIS_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "limiter/store/redis_address.h"
#include "tests/limiter/store/redis_server.h"

namespace deferd {

class TestRedisCluster {
 public:
  struct Options {
    int masters = 3;
    int without_slots = 0;  // more masters
    bool replicas = false;  // of each master with slots
    RedisServer::Port port = RedisServer::Port::kPlain;
    std::vector<std::string> arguments;  // of each server
    std::string user, password;          // whom Cli logs in as
  };
  // Waits until all servers know that the cluster is whole; nullptr, and a failed test, if they do
  // not.
  static std::unique_ptr<TestRedisCluster> Start(const Options& options);

  // The masters, those without slots, the replicas.
  RedisServer& operator[](size_t i) { return *servers_[i]; }
  size_t size() const { return servers_.size(); }
  RedisAddress address() const;  // lists all servers

  // The master that has the slot of a key at first.
  size_t MasterOf(absl::string_view key) const;
  size_t ReplicaOf(size_t master) const { return servers_.size() - masters_ + master; }
  // From every server: the keys, with whoever has them.
  std::vector<std::pair<std::string, size_t>> Keys();
  void Flush();

  // A slot moves: Begin, then its keys one by one, then End. Until MoveKey is false, some are left.
  void BeginMove(int slot, size_t from, size_t to);
  bool MoveKey(int slot, size_t from, size_t to);
  void EndMove(int slot, size_t to);

  // Asks until it is so; false, and a failed test, after a minute.
  bool Until(absl::FunctionRef<bool()> so, const char* what);
  bool Says(size_t server, absl::string_view state);  // "cluster_state:ok"
  // How often servers answered an error that begins so.
  int Answered(absl::string_view error);

 private:
  TestRedisCluster() = default;
  bool Form(const Options& options);
  std::string Id(size_t server) { return servers_[server]->Cli({"CLUSTER", "MYID"}).text; }

  size_t masters_ = 0;  // with slots
  std::vector<std::unique_ptr<RedisServer>> servers_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_REDIS_CLUSTER_H_
