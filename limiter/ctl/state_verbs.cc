#include "limiter/ctl/state_verbs.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "limiter/config/config.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/progress.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "limiter/store/backup.h"

namespace deferd {

namespace {

struct StateArguments {
  VerbOptions options;
  std::string version;
  std::string file;
  std::string config = "/etc/deferd/deferd.toml";
};

// "12 bytes", "1.5 MiB".
std::string SizeWords(int64_t bytes) {
  if (bytes < 1 << 20) return absl::StrCat((bytes + 1023) >> 10, " KiB");
  return absl::StrFormat("%.1f MiB", static_cast<double>(bytes) / (1 << 20));
}

Json InfoJson(const BackupInfo& info) {
  return {{"node", info.node.empty() ? Json(nullptr) : Json(info.node)},
          {"version", info.version.empty() ? Json(nullptr) : Json(info.version)},
          {"made", info.made == absl::InfinitePast() ? Json(nullptr) : Json(FormatUtc(info.made))},
          {"format", info.format},
          {"bytes", info.bytes},
          {"attempts", info.attempts}};
}

// Standard output takes a backup whole, once it is checked.
absl::Status Pour(const std::string& file) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(file.c_str(), "rb"), std::fclose);
  if (in == nullptr) return absl::UnavailableError(absl::StrCat(file, ": cannot be read"));
  std::string buffer(1 << 20, '\0');
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), in.get())) {
    if (std::fwrite(buffer.data(), 1, size, stdout) != size) {
      return absl::UnavailableError("standard output: cannot be written");
    }
  }
  return std::ferror(in.get()) != 0 || std::fflush(stdout) != 0
             ? absl::UnavailableError("standard output: cannot be written")
             : absl::OkStatus();
}

absl::StatusOr<std::string> RunBackup(const StateArguments& args) {
  absl::StatusOr<Config> config = LoadConfig(args.config);
  if (!config.ok()) return config.status();
  const bool pour = args.file == "-";
  if (pour && isatty(STDOUT_FILENO) != 0) {
    return absl::InvalidArgumentError("a backup is no text for a terminal; name a file");
  }
  const char* folder = std::getenv("TMPDIR");
  const std::string file =
      pour ? absl::StrCat(folder != nullptr ? folder : "/var/tmp", "/deferd-backup-", getpid())
           : args.file;
  absl::Cleanup remove = [&] {
    if (pour) unlink(file.c_str());
  };
  absl::StatusOr<BackupInfo> made =
      WriteBackup(config->state_dir, config->node_name, file, args.version, SystemClock().Now(),
                  ProgressBar("backup"));
  if (!made.ok()) return made.status();
  if (pour) {
    absl::Status poured = Pour(file);
    return poured.ok() ? absl::StatusOr<std::string>("") : poured;
  }
  if (*args.options.json) {
    Json json = InfoJson(*made);
    json["file"] = file;
    return DumpPretty(json);
  }
  return absl::StrCat(file, ": ", SizeWords(made->bytes), ", ", made->attempts,
                      made->attempts == 1 ? " attempt" : " attempts", ", node ", made->node,
                      "; checked\n");
}

absl::StatusOr<std::string> RunRestore(const StateArguments& args) {
  absl::StatusOr<Config> config = LoadConfig(args.config);
  if (!config.ok()) return config.status();
  absl::StatusOr<RestoredBackup> restored = RestoreBackup(
      args.file, config->state_dir, config->node_name, SystemClock().Now(), ProgressBar("restore"));
  if (!restored.ok()) return restored.status();
  const BackupInfo& info = restored->info;
  if (*args.options.json) {
    Json json = InfoJson(info);
    json["kept"] = restored->kept.empty() ? Json(nullptr) : Json(restored->kept);
    return DumpPretty(json);
  }
  std::string page = absl::StrCat(
      "restored ", info.attempts, info.attempts == 1 ? " attempt" : " attempts", " into ",
      config->state_dir,
      info.made == absl::InfinitePast() ? "" : absl::StrCat(", as of ", FormatUtc(info.made)),
      info.node.empty() ? "" : absl::StrCat(", node ", info.node), "\n");
  if (!restored->kept.empty()) {
    absl::StrAppend(&page, "the former state is in ", restored->kept, "\n");
  }
  return absl::StrCat(
      page,
      "When deferd starts, it reads the logs from where the backup had read them: every line since "
      "then is\ncounted once, and a rotated log that is gone is reported as a gap. Blocks and "
      "unblocks by people\nsince the backup are lost, unless another node shares them.\n"
      "  systemctl start deferd\n");
}

}  // namespace

void AddStateVerbs(CLI::App* app, const VerbOptions& options, const char* version, Verb* chosen) {
  auto args = std::make_shared<StateArguments>();
  args->options = options;
  args->version = version;
  const auto verb = [&](const char* name, const char* help,
                        std::function<absl::StatusOr<std::string>()> run) {
    CLI::App* sub = app->add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([chosen, run = std::move(run)] { *chosen = run; });
    return sub;
  };
  CLI::App* backup = verb("backup", "copy deferd's state to a file, while deferd runs",
                          [args] { return RunBackup(*args); });
  backup->add_option("FILE", args->file, "a new file; -: standard output")->required();
  CLI::App* restore = verb("restore", "put a backup in the place of deferd's state",
                           [args] { return RunRestore(*args); });
  restore->add_option("FILE", args->file, "made by backup; -: standard input")->required();
  for (CLI::App* one : {backup, restore}) {
    one->add_option("--config", args->config, "deferd's configuration, which names state_dir")
        ->capture_default_str();
  }
}

}  // namespace deferd
