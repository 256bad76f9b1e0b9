// The shared store that is a Redis (7.0 or newer): alone, watched by sentinels, or a cluster.
//
// Keys and scripts: redis_keys.h, the .lua files. A script that a server does not know, after a
// restart or a failover, is loaded and the command sent again. Pipelines hold at most 1 MiB.

#ifndef DEFERD_LIMITER_STORE_REDIS_STORE_H_
#define DEFERD_LIMITER_STORE_REDIS_STORE_H_

#include <memory>
#include <vector>

#include "limiter/store/redis_address.h"
#include "limiter/store/shared_store.h"

namespace deferd {

std::unique_ptr<SharedStore> NewRedisStore(const RedisAddress& address,
                                           const SharedStoreOptions& options);

// Over several servers, by domain: sharded_store.h. `addresses` is not empty.
std::unique_ptr<SharedStore> NewRedisShards(const std::vector<RedisAddress>& addresses,
                                            const SharedStoreOptions& options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_STORE_H_
