// `deferctl queue ...`: the command line of the verb `queue` (queue_verb.h).
//
// Discarding and redirecting go from root's deferctl straight to the helper, since deferd itself
// may not have them done; deferd is asked which messages are meant, and told afterwards.

#ifndef DEFERD_LIMITER_CTL_QUEUE_VERBS_H_
#define DEFERD_LIMITER_CTL_QUEUE_VERBS_H_

#include <functional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace deferd {

// Where a verb is asked, and how it is told.
struct VerbOptions {
  const std::string* socket = nullptr;  // deferd's admin socket
  const bool* json = nullptr;
};

// What a verb prints, once the command line is read.
using Verb = std::function<absl::StatusOr<std::string>()>;

// Adds the verb to `app`; `*chosen` is set when the command line has it. The options' targets must
// outlive the call of the verb.
void AddQueueVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_QUEUE_VERBS_H_
