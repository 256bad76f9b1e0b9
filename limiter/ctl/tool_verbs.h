// Verbs about this program and this machine: version, completion, setup.

#ifndef DEFERD_LIMITER_CTL_TOOL_VERBS_H_
#define DEFERD_LIMITER_CTL_TOOL_VERBS_H_

#include "CLI/CLI.hpp"
#include "limiter/ctl/verb.h"

namespace deferd {

// As AddQueueVerbs does. `app` must outlive the call of *chosen.
void AddToolVerbs(CLI::App* app, const VerbOptions& options, const char* version, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_TOOL_VERBS_H_
