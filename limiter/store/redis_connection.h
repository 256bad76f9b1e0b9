// A link (redis_link.h) to the Redis that may be written to: found through the sentinels, if there
// are any, logged in, with its database selected, and certainly a master. Of a cluster, to any of
// its servers: it says itself what it does not take.
//
// Calls block for at most the deadline (by answer); the connection is closed with the first that
// is late or broken. Statuses carry their trouble, and never hold a password. Confined to one
// thread.

#ifndef DEFERD_LIMITER_STORE_REDIS_CONNECTION_H_
#define DEFERD_LIMITER_STORE_REDIS_CONNECTION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_link.h"

namespace deferd {

class RedisConnection {
 public:
  RedisConnection() = default;
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection();

  // Connects, logs in, selects the database, and makes sure that it is a master that answers.
  // Through sentinels: to the one that the first of them that answers names. Of a cluster: to
  // address.server, whose role is not asked for.
  absl::Status Open(const RedisAddress& address, absl::Duration deadline);
  void Close();
  bool open() const { return link_.open(); }

  // Where it is connected to.
  const RedisEndpoint& server() const { return server_; }

  // Sends all, then reads the answers, one each, errors among them. `wait`: how much longer than
  // the deadline an answer may take.
  absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                              absl::Duration wait = absl::ZeroDuration());
  // One; an error that Redis answers is a status too.
  absl::StatusOr<RedisReply> Run(const RedisCommand& command,
                                 absl::Duration wait = absl::ZeroDuration());

  // As Run; a script of ours (redis_scripts.h) that the server does not know is loaded, and the
  // command sent again.
  absl::StatusOr<std::vector<RedisReply>> RunScripts(absl::Span<const RedisCommand> commands,
                                                     absl::Duration wait = absl::ZeroDuration());

 private:
  absl::Status LogIn(const RedisAddress& address);

  RedisLink link_;
  absl::Duration deadline_;
  RedisEndpoint server_;
};

// The address of the master, by the first sentinel that answers. kNoMaster.
absl::StatusOr<RedisEndpoint> AskSentinels(const RedisAddress& address, absl::Duration deadline);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_CONNECTION_H_
