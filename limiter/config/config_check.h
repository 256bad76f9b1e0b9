// Checks that this machine has what the configuration names: groups, directories, logs.
//
// config.h checks the file itself. This check looks at the present machine, so that `deferd
// --check` finds what would keep deferd from starting or from reading logs.

#ifndef DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_
#define DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/config/config.h"

namespace deferd {

struct MachineFindings {
  std::vector<std::string> errors;    // deferd will not start
  std::vector<std::string> warnings;  // deferd starts, but something is missing
};

MachineFindings CheckMachine(const Config& config);

// The mail server that a socket of [hook] serves.
enum class HookDoor { kExim, kPostfix };

// The group that this mail server runs as; empty if it is not installed on this machine.
std::string MailGroup(HookDoor door);

// The same group if this process may assign it to files, otherwise empty.
std::string GroupOfDoor(HookDoor door);

// Whether only the other mail server is installed. A configuration for both then ignores the
// missing logs and the socket of this one. If neither is installed (a container beside the mail
// server's), nothing is ignored. `root` is "" or a test's directory.
bool OnlyTheOtherIsHere(HookDoor door, const std::string& root = "");

// `patterns` without those that match no file, if `absent`.
std::vector<std::string> LogsToFollow(const std::vector<std::string>& patterns, bool absent);

// Whether `address` is a unix socket in a folder that does not exist.
bool HasNoFolder(absl::string_view address);

// Why no owner can release anything though a rule of the policy says `owner_release`; empty: owners
// can, or none may.
std::string NoOwnerRelease(const Config& config, const Policy& policy);

// Advice if the configuration is for a mail server that is not installed while the other one is;
// empty if the configuration fits.
std::string WrongMailServer(const Config& config, bool exim_here, bool postfix_here);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_CONFIG_CHECK_H_
