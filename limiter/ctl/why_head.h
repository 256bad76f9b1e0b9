// The six lines that `deferctl why` begins with: whether mail of the subject passes, who caused its
// trouble, what servers answered, whose fault that is, what to do, and what waits (or, of who is
// not blocked, how far the limit is and what is left out).
//
// A reader who knows no SMTP names cause, culprit and remedy from them alone. Each is one line that
// fits the page; only the things to do take a line each where one is not enough.

#ifndef DEFERD_LIMITER_CTL_WHY_HEAD_H_
#define DEFERD_LIMITER_CTL_WHY_HEAD_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

std::string WhyHead(const Json& why);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_WHY_HEAD_H_
