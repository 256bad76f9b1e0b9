// `deferctl notice`: tests a sink, lists and shows notices, and retries dead ones.

#ifndef DEFERD_LIMITER_CTL_NOTICE_VERBS_H_
#define DEFERD_LIMITER_CTL_NOTICE_VERBS_H_

#include "CLI/CLI.hpp"
#include "limiter/ctl/queue_verbs.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// As AddQueueVerbs.
void AddNoticeVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

// One notice a line, newest first.
std::string NoticesPage(const Json& notices);
std::string NoticePage(const Json& notice);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_NOTICE_VERBS_H_
