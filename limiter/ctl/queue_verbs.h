// `deferctl queue ...`: the command line of the verb `queue` (queue_verb.h).
//
// Discarding and redirecting go from root's deferctl straight to the helper, since deferd itself
// may not have them done; deferd is asked which messages are meant, and told afterwards.

#ifndef DEFERD_LIMITER_CTL_QUEUE_VERBS_H_
#define DEFERD_LIMITER_CTL_QUEUE_VERBS_H_

#include "CLI/CLI.hpp"
#include "limiter/ctl/verb.h"

namespace deferd {

// Adds the verb to `app`; `*chosen` is set when the command line has it. The options' targets must
// outlive the call of the verb.
void AddQueueVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_QUEUE_VERBS_H_
