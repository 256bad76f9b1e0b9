// `deferctl shadow report|right|wrong`: what rules in shadow would have blocked, and what a person
// thinks of it.

#ifndef DEFERD_LIMITER_CTL_SHADOW_VERBS_H_
#define DEFERD_LIMITER_CTL_SHADOW_VERBS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "limiter/ctl/verb.h"
#include "limiter/localrpc/json.h"

namespace deferd {

std::string ShadowReportPage(const Json& report);

void AddShadowVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SHADOW_VERBS_H_
