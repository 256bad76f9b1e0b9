// What `deferctl track` prints: one line for each recipient with its state now, or one message's
// life with the line highlighted and explained that decided about each recipient.

#ifndef DEFERD_LIMITER_CTL_TRACK_PAGE_H_
#define DEFERD_LIMITER_CTL_TRACK_PAGE_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

std::string TrackPage(const Json& rows);
std::string LifePage(const Json& rows);

// The page of a request that found nothing, with why that may be.
std::string NothingFound(const Json& request);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_TRACK_PAGE_H_
