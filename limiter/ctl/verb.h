// How deferctl's verbs are put on its command line.
//
// A verb reads its options when the command line is parsed, and runs afterwards: it is a function
// without arguments that returns what is printed, or an error.

#ifndef DEFERD_LIMITER_CTL_VERB_H_
#define DEFERD_LIMITER_CTL_VERB_H_

#include <functional>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// How long deferd may take to answer.
inline constexpr absl::Duration kDaemonLimit = absl::Seconds(30);

// Asks deferd, here or on another machine.
using AskDaemon = std::function<absl::StatusOr<Json>(const std::string& verb, const Json& args,
                                                     absl::Duration limit)>;

// deferctl's own options. The targets must outlive the call of the verb.
struct VerbOptions {
  const std::string* socket = nullptr;  // deferd's admin socket
  const AskDaemon* ask = nullptr;       // of verbs that the HTTP API has (remote.h)
  const std::string* url = nullptr;     // of the server that is asked; empty: this one
  const bool* json = nullptr;
};

// What a verb prints, once the command line is read.
using Verb = std::function<absl::StatusOr<std::string>()>;

// Adds a verb below `parent`; `*chosen` becomes `run` if the command line has it. Of nested verbs
// the innermost is chosen. Options may be added to what is returned, which `parent` owns.
CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& help, Verb run,
                  Verb* chosen);

// The verb that asks deferd and prints the answer as JSON or as a page. `request` is called when
// the verb runs.
Verb DaemonVerb(const VerbOptions& options, const std::string& verb, std::function<Json()> request,
                std::string (*page)(const Json&));

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_VERB_H_
