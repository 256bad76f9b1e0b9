// `deferctl exempt add|remove|list`.
//
// The daemon keeps a person's exemptions; the policy's are listed with them and are changed in its
// file. Pages are printed from the daemon's JSON.

#ifndef DEFERD_LIMITER_CTL_EXEMPT_VERBS_H_
#define DEFERD_LIMITER_CTL_EXEMPT_VERBS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "limiter/ctl/verb.h"
#include "limiter/localrpc/json.h"

namespace deferd {

std::string ExemptionsPage(const Json& list);
std::string ExemptedPage(const Json& exemption);
std::string ExemptionEndedPage(const Json& exemption);

void AddExemptVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_EXEMPT_VERBS_H_
