// Which server of a Redis Cluster has a key, by the Redis Cluster specification: the arithmetic,
// and what servers answer about it.
//
// A key's slot is CRC16 of what stands in its first braces, or of all of it; each slot has one
// master. A server that does not have it answers MOVED (for good) or ASK (for this once, while the
// slot moves). Plain functions, for bytes from anywhere.

#ifndef DEFERD_LIMITER_STORE_REDIS_SLOTS_H_
#define DEFERD_LIMITER_STORE_REDIS_SLOTS_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_link.h"

namespace deferd {

inline constexpr int kRedisSlots = 16384;

int RedisSlotOf(absl::string_view key);

// The key that decides where a command of the store goes: EVALSHA's first, XREAD's, or else the
// first argument. Empty: it has none.
absl::string_view KeyOfCommand(const RedisCommand& command);

struct RedisSlotRange {
  int first = 0;
  int last = 0;
  RedisEndpoint master;

  friend bool operator==(const RedisSlotRange&, const RedisSlotRange&) = default;
};

// The answer to CLUSTER SLOTS that `from` gave. DataLoss if it is none. Slots may be missing.
absl::StatusOr<std::vector<RedisSlotRange>> ParseSlots(const RedisReply& reply,
                                                       const RedisEndpoint& from);

struct RedisRedirect {
  bool ask = false;  // else MOVED
  int slot = 0;
  RedisEndpoint server;

  friend bool operator==(const RedisRedirect&, const RedisRedirect&) = default;
};

// Of an error that `from` answered; nullopt if it is no redirection.
std::optional<RedisRedirect> ParseRedirect(const RedisReply& reply, const RedisEndpoint& from);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_SLOTS_H_
