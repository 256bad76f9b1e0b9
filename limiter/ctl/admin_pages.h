// What deferctl prints on a terminal, from the same JSON that --json shows. 80 columns.

#ifndef DEFERD_LIMITER_CTL_ADMIN_PAGES_H_
#define DEFERD_LIMITER_CTL_ADMIN_PAGES_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

// "until 2026-11-29 12:00:00 UTC", or that only a person ends the block.
std::string UntilWords(const Json& record);
// What a person must know whose decision a crash would undo; empty: it is saved and shared.
std::string NotSaved(const Json& decision);

std::string StatusPage(const Json& status);
std::string CheckPage(const Json& check);
std::string BlocksPage(const Json& blocks);
std::string BlockedPage(const Json& block);
std::string UnblockedPage(const Json& block);
std::string IncidentsPage(const Json& incidents);
std::string TopPage(const Json& top);
std::string ReloadedPage(const Json& policy);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_ADMIN_PAGES_H_
