// The servers behind one shared store: a Redis (alone, or the one that sentinels name), or the
// masters of a Redis Cluster.
//
// Commands go to the server that has their key. A status is that of all commands: after kGone and
// kSlow nothing is open until Open. Of a cluster, a master that cannot be reached is the trouble of
// its own commands (RedisReply::failed), and is tried again by itself, seldom if it is slow; slots
// that move and masters that change are followed. Confined to one thread.

#ifndef DEFERD_LIMITER_STORE_REDIS_SERVERS_H_
#define DEFERD_LIMITER_STORE_REDIS_SERVERS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_connection.h"
#include "limiter/store/shared_store.h"

namespace deferd {

class RedisServers {
 public:
  virtual ~RedisServers() = default;

  virtual absl::Status Open() = 0;
  virtual void Close() = 0;
  virtual bool open() const = 0;

  // The answers in the order of the commands. Scripts are loaded where they are missing. `wait`:
  // how much longer than the deadline an answer may take.
  virtual absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                                      absl::Duration wait) = 0;
  // Calls `visit` with each server, also after one that failed. The first trouble.
  virtual absl::Status ForEach(absl::FunctionRef<absl::Status(RedisConnection&)> visit) = 0;

  // Before each beat: finds out which servers are the masters now.
  virtual absl::Status Check() = 0;
  // With each beat: adds to its generation what changes when a master of several is another one, or
  // has lost its keys; and the trouble of one that is not heard. `random`: a new generation's text.
  virtual void AddTo(Beat* beat, const std::string& random) = 0;
};

// By `address`.
std::unique_ptr<RedisServers> NewRedisServers(const RedisAddress& address, absl::Duration deadline);
std::unique_ptr<RedisServers> NewRedisCluster(const RedisAddress& address, absl::Duration deadline);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_SERVERS_H_
