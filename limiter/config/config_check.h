// Whether this machine has what the configuration names: groups, folders, logs.
//
// The configuration itself is checked where it is read (config.h). This looks at the machine as it
// is now, so that `deferd --check` finds what would keep deferd from starting, or leave it blind.

#ifndef DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_
#define DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_

#include <string>
#include <vector>

#include "limiter/config/config.h"

namespace deferd {

struct MachineFindings {
  std::vector<std::string> errors;    // deferd will not start
  std::vector<std::string> warnings;  // deferd starts, but something it needs is not there yet
};

MachineFindings CheckMachine(const Config& config);

// What to write where the configuration is for a mail server that this machine has not, and it has
// the other one; empty if it fits.
std::string WrongMailServer(const Config& config, bool exim_here, bool postfix_here);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_
