// deferctl link: links to the owner's page.

#ifndef DEFERD_LIMITER_CTL_LINK_VERBS_H_
#define DEFERD_LIMITER_CTL_LINK_VERBS_H_

#include "CLI/CLI.hpp"
#include "limiter/ctl/queue_verbs.h"

namespace deferd {

void AddLinkVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_LINK_VERBS_H_
