// Whether this machine has what the configuration names: groups, folders, logs.
//
// The configuration itself is checked where it is read (config.h). This looks at the machine as it
// is now, so that `deferd --check` finds what would keep deferd from starting, or leave it blind.

#ifndef DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_
#define DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/config/config.h"

namespace deferd {

struct MachineFindings {
  std::vector<std::string> errors;    // deferd will not start
  std::vector<std::string> warnings;  // deferd starts, but something it needs is not there yet
};

MachineFindings CheckMachine(const Config& config);

// A door of [hook], by the mail server that asks at it.
enum class HookDoor { kExim, kPostfix };

// The group that this mail server runs as; empty if it is not installed on this machine.
std::string MailGroup(HookDoor door);

// The same where this process may give a file to it, else empty.
std::string GroupOfDoor(HookDoor door);

// Whether the machine has the other mail server's program and not this one's: then one
// configuration for both leaves out this one's absent logs and door. Where neither is installed
// (a container beside the mail server's), nothing is left out. `root` is "" or a test's folder.
bool OnlyTheOtherIsHere(HookDoor door, const std::string& root = "");

// `patterns` without those that match no file, if `absent`.
std::vector<std::string> LogsToFollow(const std::vector<std::string>& patterns, bool absent);

// Whether `address` is a unix socket in a folder that does not exist.
bool HasNoFolder(absl::string_view address);

// What to write where the configuration is for a mail server that this machine has not, and it has
// the other one; empty if it fits.
std::string WrongMailServer(const Config& config, bool exim_here, bool postfix_here);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_
