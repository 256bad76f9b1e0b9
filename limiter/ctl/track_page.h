// What `deferctl track` prints. At most 80 columns.

#ifndef DEFERD_LIMITER_CTL_TRACK_PAGE_H_
#define DEFERD_LIMITER_CTL_TRACK_PAGE_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

std::string TrackPage(const Json& rows);

// The page of a request that found nothing, with why that may be.
std::string NothingFound(const Json& request);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_TRACK_PAGE_H_
