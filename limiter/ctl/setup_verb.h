// `deferctl setup exim|postfix`: wires this machine's mail server to deferd, and takes that back.
//
// Nothing is touched before the whole plan is made. Files are written together; the mail server's
// own checker has to accept them before it reads them again, and it has to be well afterwards: else
// all files are as they were. Enforcement is never turned on.

#ifndef DEFERD_LIMITER_CTL_SETUP_VERB_H_
#define DEFERD_LIMITER_CTL_SETUP_VERB_H_

#include <string>

#include "absl/status/statusor.h"

namespace deferd {

struct SetupArguments {
  std::string mta;  // "exim" or "postfix"
  std::string config = "/etc/deferd/deferd.toml";
  std::string mta_config;  // Exim's configuration file, or Postfix's folder; empty: found
  std::string socket;      // deferd's admin socket
  bool dry_run = false;
  bool undo = false;
  bool undo_queue = false;  // takes back what needs deferd-queue, nothing else
  bool if_set_up = false;   // with the two: says nothing where there is nothing to undo
};

// The page; what it does on its way is printed at once.
absl::StatusOr<std::string> RunSetup(const SetupArguments& args);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_VERB_H_
