#include "limiter/ctl/setup_verb.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/config.h"
#include "limiter/ctl/setup_blocks.h"
#include "limiter/ctl/setup_config.h"
#include "limiter/ctl/setup_exim.h"
#include "limiter/ctl/setup_journal.h"
#include "limiter/ctl/setup_machine.h"
#include "limiter/ctl/setup_postfix.h"
#include "limiter/ctl/setup_server.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queue_list.h"

namespace deferd {

namespace {

constexpr absl::Duration kSetupPatience = absl::Seconds(5);
constexpr size_t kHeldShown = 40;  // lines

void Say(absl::string_view text) {
  std::printf("%s\n", std::string(text).c_str());
  std::fflush(stdout);
}

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
  if (PathExists(kQueueHelperSocket)) {
    keys.push_back({"queue", "helper", absl::StrCat("\"", kQueueHelperSocket, "\"")});
  }
  return keys;
}

// The plan's deferd.toml is one that deferd takes.
absl::StatusOr<Config> CheckedConfig(const std::string& text) {
  char name[] = "/tmp/deferd-setup.XXXXXX";
  const int fd = mkstemp(name);
  if (fd < 0) return absl::UnavailableError("/tmp: no room for a file");
  close(fd);
  absl::Cleanup remove = [&] { unlink(name); };
  std::ofstream file(name);
  file << text;
  if (!file.flush()) return absl::UnavailableError("/tmp: no room for a file");
  return LoadConfig(name);
}

// Postfix holds mail by itself; Exim is wired to defer it (EximSetup::Plan).
const char* WithoutHelperText(const std::string& mta) {
  return mta == "exim"
             ? "deferd-queue is not running: a blocked sender's mail is deferred, and its client "
               "keeps "
               "it.\nTo hold it instead, install and start deferd-queue, and run this command "
               "again.\n"
             : "deferd-queue is not running. Before you enforce, install and start it, and "
               "run this command again:\nwithout it, held mail is not released, not even "
               "after the block ends.\n";
}

std::string ShadowPage(const std::string& socket, const std::string& mta) {
  const absl::StatusOr<Json> status = CallDaemon(socket, "status", Json::object(), kSetupPatience);
  if (!status.ok()) {
    return "deferd does not run yet: systemctl enable --now deferd, or deferd --config FILE\n";
  }
  std::string page;
  const std::string mode = Field(*status, "mode");
  if (mode != "shadow") {
    return absl::StrCat("deferd's policy is in mode ", mode, ", as it was before.\n");
  }
  const absl::StatusOr<Json> blocks = CallDaemon(socket, "blocks", {{"all", true}}, kSetupPatience);
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
                  "Look for some days (deferctl blocks --all, deferctl why SUBJECT).\n",
                  PathExists(kQueueHelperSocket) ? "" : WithoutHelperText(mta),
                  "Then this enforces:\n"
                  "  sed -i 's/^mode = .*/mode = \"enforce\"/' /etc/deferd/policy.toml && deferctl "
                  "reload\n");
  return page;
}

// Starts deferd anew where systemd runs; else says that somebody has to.
void RestartDeferd(SetupMachine* machine, const SetupServer& server, bool config_changed) {
  if (!PathExists("/run/systemd/system")) {
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

// A lost connection or Ctrl-C must not end setup between two files; the journal is for the rest.
class SignalsIgnored {
 public:
  SignalsIgnored() {
    for (size_t i = 0; i < kSignals.size(); ++i) before_[i] = std::signal(kSignals[i], SIG_IGN);
  }
  ~SignalsIgnored() {
    for (size_t i = 0; i < kSignals.size(); ++i) std::signal(kSignals[i], before_[i]);
  }
  SignalsIgnored(const SignalsIgnored&) = delete;
  SignalsIgnored& operator=(const SignalsIgnored&) = delete;

 private:
  static constexpr std::array<int, 4> kSignals = {{SIGINT, SIGTERM, SIGHUP, SIGPIPE}};
  std::array<void (*)(int), 4> before_ = {};
};

absl::Status PutInForce(SetupMachine* machine, SetupJournal* journal, const SetupServer& server,
                        const SetupArguments& args, const SetupPlan& plan) {
  const SignalsIgnored ignored;
  server.look_before();
  if (absl::Status begun = journal->Begin({args.mta, args.mta_config, plan}); !begun.ok()) {
    return absl::Status(begun.code(), absl::StrCat(begun.message(), "; nothing was changed"));
  }
  absl::Status status = machine->Write(plan);
  bool read_again = false;
  if (status.ok()) {
    status = server.check(plan);
    read_again = status.ok();
    if (status.ok()) status = server.activate();
    if (status.ok()) status = server.is_well();
    if (status.ok()) return journal->End();
  }
  std::string text(status.message());
  std::vector<std::string> edited;
  absl::Status back = machine->WriteBack(plan, &edited);
  if (back.ok()) back = journal->End();
  if (back.ok() && read_again) back = server.activate();
  if (back.ok() && read_again) back = server.is_well();
  absl::StrAppend(&text,
                  back.ok() ? "; all files are as they were"
                            : absl::StrCat("; and taking it back failed: ", back.message()),
                  edited.empty() ? ""
                                 : absl::StrCat(", but ", absl::StrJoin(edited, " and "),
                                                ", which somebody has edited meanwhile"));
  return absl::Status(status.code(), text);
}

// What a run that was killed has left is taken back, so that this run begins with files that the
// mail server had in force.
absl::Status TakeBackInterrupted(SetupMachine* machine, SetupJournal* journal,
                                 const SetupArguments& args) {
  absl::StatusOr<std::optional<SetupJournal::Begun>> begun = journal->Interrupted();
  if (!begun.ok()) return begun.status();
  if (!begun->has_value()) return absl::OkStatus();
  const SetupJournal::Begun& earlier = **begun;
  std::vector<std::string> edited, restored;
  for (const FileEdit& edit : earlier.plan.edits) {
    if (FileText(edit.path) == edit.after) restored.push_back(edit.path);
  }
  if (args.dry_run) {
    Say("note: an earlier deferctl setup was interrupted; a run without --dry-run takes it back "
        "first");
    return absl::OkStatus();
  }
  const SignalsIgnored ignored;
  if (absl::Status back = machine->WriteBack(earlier.plan, &edited); !back.ok()) return back;
  Say("an earlier deferctl setup was interrupted; its changes were taken back:");
  for (const std::string& path : restored) Say(absl::StrCat("restored ", path));
  for (const std::string& path : edited) {
    Say(absl::StrCat("note: ", path, " was edited since and stays as it is"));
  }
  // Whether the mail server had read the changes is not known.
  SetupArguments arguments = args;
  arguments.mta = earlier.mta;
  arguments.mta_config = earlier.mta_config;
  const SetupServer server = MakeSetupServer(machine, arguments);
  absl::Status well = server.find();
  if (well.ok() && !restored.empty()) well = server.activate();
  if (well.ok()) well = server.is_well();
  if (!well.ok()) Say(absl::StrCat("warning: ", server.name, ": ", well.message()));
  return journal->End();
}

}  // namespace

absl::StatusOr<std::string> RunSetup(const SetupArguments& args) {
  SetupMachine machine;
  SetupJournal journal;
  if (!args.dry_run) {
    if (absl::Status locked = journal.Lock(); !locked.ok()) return locked;
  }
  absl::Status ready = TakeBackInterrupted(&machine, &journal, args);
  if (!ready.ok()) return ready;
  const SetupServer server = MakeSetupServer(&machine, args);
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
    if (absl::Status done = PutInForce(&machine, &journal, server, args, plan); !done.ok())
      return done;
    Say(absl::StrCat(server.name, " has read its configuration again and is well"));
  } else {
    Say("nothing to change");
  }
  if (args.undo_queue) return std::string("deferd does not use deferd-queue any more\n");
  if (undo) return absl::StrCat(server.name, " does not ask deferd any more\n");
  if (plan.changes()) RestartDeferd(&machine, server, config_changed);
  return ShadowPage(args.socket, args.mta);
}

}  // namespace deferd
