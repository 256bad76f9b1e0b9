#include "limiter/ctl/setup_server.h"

#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/ctl/setup_exim.h"
#include "limiter/ctl/setup_postfix.h"
#include "limiter/localrpc/queue_list.h"

namespace deferd {

bool PathExists(const std::string& path) {
  struct stat unused;
  return stat(path.c_str(), &unused) == 0;
}

namespace {

std::string DoorOf(const Config& config) {
  return config.hook_exim.empty() ? "" : config.hook_exim.front();
}

SetupServer EximServer(SetupMachine* machine, const SetupArguments& args) {
  auto exim = std::make_shared<EximSetup>(machine, args.mta_config);
  return {
      .name = "Exim",
      .service = "exim",
      .door_socket = "deferd-exim.socket",
      .find = [exim] { return exim->Find(); },
      .plan =
          [exim](const Config& config, SetupPlan* plan) {
            return exim->Plan(DoorOf(config), !config.queue_helpers.empty(), plan);
          },
      .undo = [exim, args](SetupPlan* plan) -> absl::Status {
        if (!args.undo_queue) return exim->PlanUndo(plan);
        absl::StatusOr<Config> config = LoadConfig(args.config);
        return config.ok() ? exim->PlanWithoutHelper(DoorOf(*config), plan) : config.status();
      },
      .rehearse = [exim](const SetupPlan& plan) { return exim->Rehearse(plan); },
      .check = [exim](const SetupPlan& plan) { return exim->Check(plan); },
      .look_before = [exim] { exim->LookBefore(); },
      .activate = [exim] { return exim->Activate(); },
      .is_well = [exim] { return exim->IsWell(); },
      .held_mail = [exim] { return exim->HeldMail(); },
      .keys = [exim](const Config& config) -> std::vector<WantedKey> {
        std::vector<WantedKey> keys = {{"hook", "exim", "\"unix:/run/deferd/exim.sock\""}};
        const std::string& log = exim->found().log_path;
        bool known = config.journal.exim;
        for (const std::string& path : config.exim_logs) known = known || PathExists(path);
        if (exim->found().syslog && !config.journal.exim && PathExists("/run/systemd/journal")) {
          keys.push_back({"intake", "journal", "[\"exim\"]", "exim"});
        } else if (!known && !log.empty()) {
          keys.push_back({"intake", "exim", TomlList({log}), "exim"});
        }
        return keys;
      }};
}

SetupServer PostfixServer(SetupMachine* machine, const SetupArguments& args) {
  auto postfix = std::make_shared<PostfixSetup>(machine, args.mta_config);
  return {.name = "Postfix",
          .service = "postfix",
          .door_socket = "deferd-postfix.socket",
          .find = [postfix] { return postfix->Find(); },
          .plan =
              [postfix](const Config& config, SetupPlan* plan) {
                const bool held = PathExists(kQueueHelperSocket) &&
                                  PathExists("/var/lib/deferd-queue/senders.db");
                return postfix->Plan(config.hook_postfix, held, plan);
              },
          .undo =
              [postfix, args](SetupPlan* plan) {
                return postfix->PlanUndo(
                    args.undo_queue ? std::vector<std::string>{"held"} : std::vector<std::string>{},
                    plan);
              },
          .rehearse = [postfix](const SetupPlan& plan) { return postfix->Rehearse(plan); },
          .check = [postfix](const SetupPlan&) { return postfix->Check(); },
          .look_before = [postfix] { postfix->LookBefore(); },
          .activate = [postfix] { return postfix->Activate(); },
          .is_well = [postfix] { return postfix->IsWell(); },
          .held_mail = [postfix] { return postfix->HeldMail(); },
          .keys = [postfix](const Config& config) -> std::vector<WantedKey> {
            const PostfixFound& first = postfix->found().front();
            std::vector<WantedKey> keys = {
                {"hook", "postfix",
                 absl::StrCat("\"unix:", first.queue_directory, "/deferd/policy.sock\"")}};
            bool known = config.journal.postfix;
            for (const std::string& path : config.postfix_logs) known = known || PathExists(path);
            if (!first.maillog_file.empty()) {
              const std::vector<std::string>& logs = config.postfix_logs;
              if (std::find(logs.begin(), logs.end(), first.maillog_file) == logs.end()) {
                keys.push_back({"intake", "postfix", TomlList({first.maillog_file}), "postfix"});
              }
            } else if (!known && PathExists("/var/log/maillog")) {
              keys.push_back({"intake", "postfix", "[\"/var/log/maillog\"]", "postfix"});
            } else if (!known && PathExists("/run/systemd/journal")) {
              keys.push_back({"intake", "journal", "[\"postfix\"]", "postfix"});
            }
            return keys;
          }};
}

}  // namespace

SetupServer MakeSetupServer(SetupMachine* machine, const SetupArguments& args) {
  return args.mta == "exim" ? EximServer(machine, args) : PostfixServer(machine, args);
}

}  // namespace deferd
