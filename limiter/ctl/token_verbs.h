// `deferctl token add|list|revoke`: who may use the HTTP API.

#ifndef DEFERD_LIMITER_CTL_TOKEN_VERBS_H_
#define DEFERD_LIMITER_CTL_TOKEN_VERBS_H_

#include "CLI/CLI.hpp"
#include "limiter/ctl/queue_verbs.h"

namespace deferd {

// As AddQueueVerbs does.
void AddTokenVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_TOKEN_VERBS_H_
