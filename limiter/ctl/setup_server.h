// The mail server that `deferctl setup` wires, Exim or Postfix, behind one face.

#ifndef DEFERD_LIMITER_CTL_SETUP_SERVER_H_
#define DEFERD_LIMITER_CTL_SETUP_SERVER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/config.h"
#include "limiter/ctl/setup_config.h"
#include "limiter/ctl/setup_machine.h"
#include "limiter/ctl/setup_verb.h"

namespace deferd {

struct SetupServer {
  std::string name;
  std::string service;      // of deferd's door
  std::string door_socket;  // the unit
  std::function<absl::Status()> find;
  std::function<absl::Status(const Config&, SetupPlan*)> plan;
  std::function<absl::Status(SetupPlan*)> undo;
  std::function<absl::Status(const SetupPlan&)> rehearse, check;
  std::function<void()> look_before;  // how well it is, before anything is written
  std::function<absl::Status()> activate, is_well;
  std::function<std::string()> held_mail;
  std::function<std::vector<WantedKey>(const Config&)> keys;
};

// The server that args.mta names; not looked for yet. `machine` outlives it.
SetupServer MakeSetupServer(SetupMachine* machine, const SetupArguments& args);

bool PathExists(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_SERVER_H_
