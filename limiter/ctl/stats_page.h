// What `deferctl stats` prints. At most 80 columns.

#ifndef DEFERD_LIMITER_CTL_STATS_PAGE_H_
#define DEFERD_LIMITER_CTL_STATS_PAGE_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

std::string StatsPage(const Json& stats);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_STATS_PAGE_H_
