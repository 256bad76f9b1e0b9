#include "limiter/ctl/setup_verb.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/config.h"
#include "limiter/ctl/setup_blocks.h"
#include "limiter/ctl/setup_config.h"
#include "limiter/ctl/setup_exim.h"
#include "limiter/ctl/setup_machine.h"
#include "limiter/ctl/setup_postfix.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"

namespace deferd {

namespace {

constexpr absl::Duration kPatience = absl::Seconds(5);
constexpr size_t kHeldShown = 40;  // lines

void Say(absl::string_view text) {
  std::printf("%s\n", std::string(text).c_str());
  std::fflush(stdout);
}

bool Exists(const char* path) {
  struct stat unused;
  return stat(path, &unused) == 0;
}

// The mail server, whichever it is.
struct Server {
  std::string name;
  std::string service;      // of deferd's door
  std::string door_socket;  // the unit
  std::function<absl::Status()> find;
  std::function<absl::Status(const Config&, SetupPlan*)> plan;
  std::function<absl::Status(SetupPlan*)> undo;
  std::function<absl::Status(const SetupPlan&)> rehearse, check;
  std::function<absl::Status()> activate, is_well;
  std::function<std::string()> held_mail;
  std::function<std::vector<WantedKey>(const Config&)> keys;
};

std::vector<WantedKey> CommonKeys(const std::vector<std::string>& local_domains, SetupPlan* plan) {
  std::vector<WantedKey> keys;
  if (!local_domains.empty()) {
    keys.push_back({"charge", "local_domains", TomlList(local_domains)});
  }
  const PanelFound panel = FindPanel();
  if (!panel.users.empty()) keys.push_back({"charge", "users", TomlList({panel.users})});
  if (!panel.hosted.empty()) keys.push_back({"charge", "hosted", TomlList({panel.hosted})});
  if (!panel.map_path.empty()) {
    FileEdit* edit = plan->Edit(panel.map_path);
    BlockText text("");
    text.Insert(0, "panel", panel.map_text);
    edit->after = text.Text();
  }
  if (!panel.note.empty()) plan->notes.push_back(panel.note);
  if (Exists("/run/deferd-queue/queue.sock")) {
    keys.push_back({"queue", "helper", "\"/run/deferd-queue/queue.sock\""});
  }
  return keys;
}

Server EximServer(SetupMachine* machine, const SetupArguments& args) {
  auto exim = std::make_shared<EximSetup>(machine, args.mta_config);
  return {.name = "Exim",
          .service = "exim",
          .door_socket = "deferd-exim.socket",
          .find = [exim] { return exim->Find(); },
          .plan =
              [exim](const Config& config, SetupPlan* plan) {
                return exim->Plan(config.hook_exim.empty() ? "" : config.hook_exim.front(), plan);
              },
          // Exim has nothing that only deferd-queue keeps alive.
          .undo =
              [exim, args](SetupPlan* plan) {
                return args.undo_queue ? absl::OkStatus() : exim->PlanUndo(plan);
              },
          .rehearse = [exim](const SetupPlan& plan) { return exim->Rehearse(plan); },
          .check = [exim](const SetupPlan& plan) { return exim->Check(plan); },
          .activate = [exim] { return exim->Activate(); },
          .is_well = [exim] { return exim->IsWell(); },
          .held_mail = [exim] { return exim->HeldMail(); },
          .keys = [exim](const Config& config) -> std::vector<WantedKey> {
            std::vector<WantedKey> keys = {{"hook", "exim", "\"unix:/run/deferd/exim.sock\""}};
            const std::string& log = exim->found().log_path;
            bool known = config.journal.exim;
            for (const std::string& path : config.exim_logs) known = known || Exists(path.c_str());
            if (exim->found().syslog && !config.journal.exim && Exists("/run/systemd/journal")) {
              keys.push_back({"intake", "journal", "[\"exim\"]", "exim"});
            } else if (!known && !log.empty()) {
              keys.push_back({"intake", "exim", TomlList({log}), "exim"});
            }
            return keys;
          }};
}

Server PostfixServer(SetupMachine* machine, const SetupArguments& args) {
  auto postfix = std::make_shared<PostfixSetup>(machine, args.mta_config);
  return {.name = "Postfix",
          .service = "postfix",
          .door_socket = "deferd-postfix.socket",
          .find = [postfix] { return postfix->Find(); },
          .plan =
              [postfix](const Config& config, SetupPlan* plan) {
                const bool held = Exists("/run/deferd-queue/queue.sock") &&
                                  Exists("/var/lib/deferd-queue/senders.db");
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
          .activate = [postfix] { return postfix->Activate(); },
          .is_well = [postfix] { return postfix->IsWell(); },
          .held_mail = [postfix] { return postfix->HeldMail(); },
          .keys = [postfix](const Config& config) -> std::vector<WantedKey> {
            const PostfixFound& first = postfix->found().front();
            std::vector<WantedKey> keys = {
                {"hook", "postfix",
                 absl::StrCat("\"unix:", first.queue_directory, "/deferd/policy.sock\"")}};
            bool known = config.journal.postfix;
            for (const std::string& path : config.postfix_logs)
              known = known || Exists(path.c_str());
            if (!first.maillog_file.empty()) {
              const std::vector<std::string>& logs = config.postfix_logs;
              if (std::find(logs.begin(), logs.end(), first.maillog_file) == logs.end()) {
                keys.push_back({"intake", "postfix", TomlList({first.maillog_file}), "postfix"});
              }
            } else if (!known && Exists("/var/log/maillog")) {
              keys.push_back({"intake", "postfix", "[\"/var/log/maillog\"]", "postfix"});
            } else if (!known && Exists("/run/systemd/journal")) {
              keys.push_back({"intake", "journal", "[\"postfix\"]", "postfix"});
            }
            return keys;
          }};
}

// The plan's deferd.toml is one that deferd takes.
absl::StatusOr<Config> CheckedConfig(const std::string& text) {
  char name[] = "/tmp/deferd-setup.XXXXXX";
  const int fd = mkstemp(name);
  if (fd < 0) return absl::UnavailableError("/tmp: no room for a file");
  close(fd);
  absl::Cleanup remove = [&] { unlink(name); };
  std::ofstream(name) << text;
  return LoadConfig(name);
}

std::string ShadowPage(const std::string& socket) {
  const absl::StatusOr<Json> status = CallDaemon(socket, "status", Json::object(), kPatience);
  if (!status.ok()) {
    return "deferd does not run yet: systemctl enable --now deferd, or deferd --config FILE\n";
  }
  std::string page;
  const std::string mode = Field(*status, "mode");
  if (mode != "shadow") {
    return absl::StrCat("deferd's policy is in mode ", mode, ", as it was before.\n");
  }
  const absl::StatusOr<Json> blocks = CallDaemon(socket, "blocks", {{"all", true}}, kPatience);
  int64_t would = 0;
  std::string named;
  if (blocks.ok() && blocks->is_array()) {
    for (const Json& one : *blocks) {
      if (!Flag(one, "shadow")) continue;
      if (++would <= 5) absl::StrAppend(&named, "  ", Field(one, "subject"), "\n");
    }
  }
  absl::StrAppend(&page, "deferd is in shadow mode: nobody is refused. It would have blocked ",
                  would, would == 1 ? " subject so far" : " subjects so far",
                  would > 0 ? ":\n" : ".\n", named,
                  "Look for some days (deferctl blocks --all, deferctl why SUBJECT). Then this "
                  "enforces:\n"
                  "  sed -i 's/^mode = .*/mode = \"enforce\"/' /etc/deferd/policy.toml && deferctl "
                  "reload\n");
  return page;
}

// Starts deferd anew where systemd runs; else says that somebody has to.
void RestartDeferd(SetupMachine* machine, const Server& server, bool config_changed) {
  if (!Exists("/run/systemd/system")) {
    if (config_changed) Say("deferd.toml has changed: start deferd again");
    return;
  }
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"/usr/bin/systemctl", "enable", "--now", server.door_socket},
        std::vector<std::string>{"/usr/bin/systemctl", "restart", "deferd.service"}}) {
    absl::Status done = machine->Run(command);
    if (!done.ok()) Say(absl::StrCat("warning: ", done.message()));
  }
}

absl::Status UndoConfig(const SetupArguments& args, SetupPlan* plan) {
  FileEdit* edit = plan->Edit(args.config);
  if (!edit->after.has_value()) return absl::OkStatus();
  std::vector<std::string> names = {"queue"};
  if (args.undo_queue) {
    names = {"exim-queue", "postfix-queue"};
  } else {
    for (const char* part :
         {"-intake", "-journal", "-exim", "-postfix", "-hook", "-charge", "-queue"}) {
      names.push_back(args.mta + part);
    }
  }
  absl::StatusOr<std::string> without = WithoutSetupBlocks(edit->path, *edit->after, names);
  if (!without.ok()) return without.status();
  edit->after = *std::move(without);
  return absl::OkStatus();
}

absl::Status PutInForce(SetupMachine* machine, const Server& server, const SetupPlan& plan) {
  if (absl::Status written = machine->Write(plan); !written.ok()) return written;
  absl::Status status = server.check(plan);
  const bool read_again = status.ok();
  if (status.ok()) status = server.activate();
  if (status.ok()) status = server.is_well();
  if (status.ok()) return status;
  std::string text(status.message());
  absl::Status back = machine->WriteBack(plan);
  if (back.ok() && read_again) back = server.activate();
  if (back.ok() && read_again) back = server.is_well();
  absl::StrAppend(&text, back.ok() ? "; all files are as they were"
                                   : absl::StrCat("; and taking it back failed: ", back.message()));
  return absl::Status(status.code(), text);
}

}  // namespace

absl::StatusOr<std::string> RunSetup(const SetupArguments& args) {
  SetupMachine machine;
  const Server server =
      args.mta == "exim" ? EximServer(&machine, args) : PostfixServer(&machine, args);
  const bool undo = args.undo || args.undo_queue;
  if (absl::Status found = server.find(); !found.ok()) {
    return undo && args.if_set_up && absl::IsNotFound(found) ? absl::StatusOr<std::string>("")
                                                             : absl::StatusOr<std::string>(found);
  }
  absl::StatusOr<Config> config = LoadConfig(args.config);
  SetupPlan plan;
  if (undo) {
    if (absl::Status planned = server.undo(&plan); !planned.ok()) return planned;
    if (absl::Status planned = UndoConfig(args, &plan); !planned.ok()) return planned;
    if (!plan.changes()) {
      return args.if_set_up
                 ? std::string()
                 : absl::StrCat("deferctl setup has written nothing for ", server.name, " here\n");
    }
    std::string held = server.held_mail();
    if (!absl::StripAsciiWhitespace(held).empty()) {
      std::vector<absl::string_view> lines = absl::StrSplit(held, '\n');
      if (lines.size() > kHeldShown) lines.resize(kHeldShown);
      Say(absl::StrCat(server.name,
                       " holds mail, which stays held (deferctl queue release SUBJECT):"));
      for (absl::string_view line : lines) Say(line);
    }
  } else {
    if (!config.ok()) return config.status();
    // deferd's own file first: where it listens decides what the mail server is told.
    FileEdit* toml = plan.Edit(args.config);
    absl::StatusOr<std::string> plain = *toml->before;
    std::vector<std::string> own;
    for (const char* part :
         {"-intake", "-journal", "-exim", "-postfix", "-hook", "-charge", "-queue"}) {
      own.push_back(args.mta + part);
    }
    plain = WithoutSetupBlocks(args.config, *toml->before, own);
    if (!plain.ok()) return plain.status();
    absl::StatusOr<Config> before = CheckedConfig(*plain);
    if (!before.ok()) return before.status();
    std::vector<WantedKey> keys = server.keys(*before);
    std::vector<std::string> local;
    if (args.mta == "exim") {
      EximSetup look(&machine, args.mta_config);
      if (look.Find().ok()) local = look.found().local_domains;
    } else {
      PostfixSetup look(&machine, args.mta_config);
      if (look.Find().ok()) local = look.LocalDomains();
    }
    for (WantedKey& key : CommonKeys(local, &plan)) keys.push_back(std::move(key));
    const std::string text = WithKeys(*plain, args.mta, keys);
    config = CheckedConfig(text);
    if (!config.ok()) return config.status();
    plan.Edit(args.config)->after = text;
    if (absl::Status planned = server.plan(*config, &plan); !planned.ok()) return planned;
  }
  for (const std::string& note : plan.notes) Say(absl::StrCat("note: ", note));
  // What is in force, then what it would become: nothing is written that the mail server's own
  // checker does not take. It works for root alone.
  if (plan.changes() && geteuid() != 0) {
    Say(absl::StrCat("note: ", server.name, "'s own checker was not asked; that takes root"));
  } else if (plan.changes()) {
    if (absl::Status valid = server.check({}); !valid.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(server.name, "'s configuration is invalid already: ", valid.message(),
                       "; nothing was changed"));
    }
    if (absl::Status valid = server.rehearse(plan); !valid.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          server.name, " would not take the changes: ", valid.message(), "; nothing was changed"));
    }
  }
  if (args.dry_run) {
    const std::string diff = machine.Diff(plan);
    return diff.empty() ? std::string("nothing to change\n") : diff;
  }
  bool config_changed = false;
  if (plan.changes()) {
    for (const FileEdit& edit : plan.edits) {
      if (!edit.changes()) continue;
      config_changed = config_changed || edit.path == args.config;
      Say(absl::StrCat(!edit.before.has_value()  ? "writing "
                       : !edit.after.has_value() ? "removing "
                                                 : "changing ",
                       edit.path));
    }
    if (absl::Status done = PutInForce(&machine, server, plan); !done.ok()) return done;
    Say(absl::StrCat(server.name, " has read its configuration again and is well"));
  } else {
    Say("nothing to change");
  }
  if (args.undo_queue) return std::string("deferd does not use deferd-queue any more\n");
  if (undo) return absl::StrCat(server.name, " does not ask deferd any more\n");
  if (plan.changes()) RestartDeferd(&machine, server, config_changed);
  return ShadowPage(args.socket);
}

}  // namespace deferd
