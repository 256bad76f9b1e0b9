// What the daemon says of its logs and its store, as JSON.

#ifndef DEFERD_LIMITER_APP_DAEMON_REPORT_H_
#define DEFERD_LIMITER_APP_DAEMON_REPORT_H_

#include <vector>

#include "limiter/committer.h"
#include "limiter/config/config.h"
#include "limiter/intake/follower.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/local_store.h"

namespace deferd {

Json SourcesJson(const std::vector<FollowerStatus>& sources);
Json StoreJson(const Config& config, const Committer::Status& kept, const LocalStore::Stats& store);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_DAEMON_REPORT_H_
