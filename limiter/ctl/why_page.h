// What `deferctl why` prints: one screen that a reader understands who knows no log. At most 80
// columns.

#ifndef DEFERD_LIMITER_CTL_WHY_PAGE_H_
#define DEFERD_LIMITER_CTL_WHY_PAGE_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

// The head (why_head.h); with `all`, everything that is known below it.
std::string WhyPage(const Json& why, bool all);
std::string VerifyPage(const Json& verified);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_WHY_PAGE_H_
