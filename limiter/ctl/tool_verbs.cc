#include "limiter/ctl/tool_verbs.h"

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "limiter/ctl/completion.h"
#include "limiter/ctl/setup_verb.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"

namespace deferd {

namespace {

constexpr absl::Duration kToolPatience = absl::Seconds(5);

struct ToolArguments {
  VerbOptions options;
  std::string version, shell, kind;
};

absl::StatusOr<std::string> RunVersion(const ToolArguments& args) {
  const absl::StatusOr<Json> status =
      CallDaemon(*args.options.socket, "status", Json::object(), kToolPatience);
  const std::string running = status.ok() ? Field(*status, "version") : "";
  if (*args.options.json) {
    return DumpPretty(
        {{"deferctl", args.version}, {"deferd", running.empty() ? Json(nullptr) : Json(running)}});
  }
  return absl::StrCat(
      "deferctl ", args.version, "\ndeferd   ", running.empty() ? "does not answer" : running,
      !running.empty() && running != args.version ? " (another version: restart deferd)\n" : "\n");
}

}  // namespace

void AddToolVerbs(CLI::App* app, const VerbOptions& options, const char* version, Verb* chosen) {
  auto args = std::make_shared<ToolArguments>();
  args->options = options;
  args->version = version;
  const auto verb = [&](const char* name, const char* help, Verb run) {
    return AddVerb(app, name, help, std::move(run), chosen);
  };
  auto setup = std::make_shared<SetupArguments>();
  CLI::App* wire = verb("setup", "connect this machine's Exim or Postfix to deferd, or undo that",
                        [args, setup]() -> absl::StatusOr<std::string> {
                          setup->socket = *args->options.socket;
                          return RunSetup(*setup);
                        });
  wire->add_option("MTA", setup->mta, "exim or postfix")
      ->required()
      ->check(CLI::IsMember({"exim", "postfix"}));
  wire->add_flag("--dry-run", setup->dry_run, "show the changes of every file, and change nothing");
  wire->add_flag("--undo", setup->undo, "take out what setup wrote, and nothing else");
  wire->add_flag("--undo-queue", setup->undo_queue, "take out what needs deferd-queue");
  wire->add_flag("--if-set-up", setup->if_set_up,
                 "with --undo: no word where there is nothing to undo");
  wire->add_option("--config", setup->config, "deferd's configuration")->capture_default_str();
  wire->add_option(
      "--mta-config", setup->mta_config,
      "Exim's configuration file, or the folder of one Postfix instance; else it is found");
  verb("version", "of deferctl and of the running deferd", [args] { return RunVersion(*args); });
  verb("completion", "print a shell's completion script",
       [args, app] { return CompletionScript(*app, args->shell); })
      ->add_option("SHELL", args->shell, "bash, zsh or fish")
      ->required();
  verb("complete", "words that a completion script asks for",
       [args]() -> absl::StatusOr<std::string> {
         return CompletionWords(*args->options.socket, args->kind);
       })
      ->group("")
      ->add_option("KIND", args->kind, "subjects, ids or all")
      ->required();
}

}  // namespace deferd
