// `deferctl backup`, `restore` and `forget`: what an operator does with deferd's memory.
//
// Backup and restore work on the files (limiter/store/backup.h); forget is done by the daemon.

#ifndef DEFERD_LIMITER_CTL_STATE_VERBS_H_
#define DEFERD_LIMITER_CTL_STATE_VERBS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "limiter/ctl/verb.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// As AddQueueVerbs does. `version` must outlive the call of *chosen.
void AddStateVerbs(CLI::App* app, const VerbOptions& options, const char* version, Verb* chosen);

// The page of `forget`.
std::string ForgottenPage(const Json& result);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_STATE_VERBS_H_
