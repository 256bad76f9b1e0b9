#include "limiter/ctl/state_verbs.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "limiter/config/config.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/progress.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "limiter/store/backup.h"
#include "limiter/store/forget_filter.h"

namespace deferd {

namespace {

constexpr absl::Duration kForgetLimit = absl::Seconds(60);

struct StateArguments {
  VerbOptions options;
  std::string version;
  std::string file;
  std::string config = "/etc/deferd/deferd.toml";
  std::string what;
  bool dry_run = false;
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
          {"attempts", info.attempts},
          {"files", info.files}};
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
  return absl::StrCat(
      file, ": ", SizeWords(made->bytes), ", ", made->attempts,
      made->attempts == 1 ? " attempt" : " attempts", ", node ", made->node, "; checked\n",
      made->files.empty() ? ""
                          : absl::StrCat("it holds secrets: ", absl::StrJoin(made->files, ", "),
                                         "; keep it as safe as state_dir\n"));
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
    json["put_back"] = restored->put_back;
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
  for (const std::string& name : info.files) {
    const bool put_back = absl::c_linear_search(restored->put_back, name);
    absl::StrAppend(&page, name, put_back ? " is put back" : " was there and stays as it is", "\n");
  }
  if (absl::c_linear_search(restored->put_back, "tokens.json")) {
    page += "what was revoked after the backup is valid again: see deferctl token list\n";
  }
  return absl::StrCat(
      page,
      "When deferd starts, it reads the logs from where the backup had read them: every line since "
      "then is\ncounted once, and a rotated log that is gone is reported as a gap. Blocks and "
      "unblocks by people\nsince the backup are lost, unless another node shares them.\n"
      "  systemctl start deferd\n");
}

// "FILE:LINE" wherever a file that deferd reads names it.
void FindNamed(const std::string& path, absl::string_view text, absl::string_view what,
               std::vector<std::string>* found) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (NamesWhole(line, what)) found->push_back(absl::StrCat(path, ":", number));
  }
}

// Files of people's own, which deferd does not change.
std::vector<std::string> StillNamed(const std::string& config_path, const std::string& what) {
  std::vector<std::string> found;
  absl::StatusOr<Config> config = LoadConfig(config_path);
  if (!config.ok()) return found;
  std::vector<std::string> files = config->charge_files;
  files.push_back(config_path);
  if (!config->policy_path.empty()) files.push_back(config->policy_path);
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy(config->policy_path);
  if (policy.ok()) {
    const std::vector<std::string>& lists = policy->policy->list_files;
    files.insert(files.end(), lists.begin(), lists.end());
  }
  for (const std::string& file : files) {
    absl::StatusOr<std::string> text = ReadTextFile(file);
    if (text.ok()) FindNamed(file, *text, what, &found);
  }
  return found;
}

absl::StatusOr<std::string> RunForget(const StateArguments& args) {
  Json result = {{"next", nullptr}};
  const std::function<void(double)> progress = ProgressBar(args.dry_run ? "look" : "forget");
  do {
    absl::StatusOr<Json> part = CallDaemon(
        *args.options.socket, "forget",
        {{"what", args.what}, {"dry_run", args.dry_run}, {"from", result["next"]}}, kForgetLimit);
    if (!part.ok()) return part.status();
    result = *std::move(part);
    if (progress) progress(result.at("progress").get<double>());
  } while (!result.at("done").get<bool>());
  result.erase("next");
  result.erase("done");
  result.erase("progress");
  result["still_named"] = StillNamed(args.config, Field(result, "what"));
  return *args.options.json ? DumpPretty(result) : ForgottenPage(result);
}

}  // namespace

std::string ForgottenPage(const Json& result) {
  const bool dry = result.at("dry_run").get<bool>();
  const int64_t receipts = Number(result, "receipts");
  std::string page = absl::StrCat(dry ? "would remove " : "removed ", Number(result, "attempts"),
                                  " attempts from the ledger, ", Number(result, "receipt_attempts"),
                                  " from ", receipts, receipts == 1 ? " receipt" : " receipts");
  const int64_t notices = Number(result, "notices");
  if (notices > 0) absl::StrAppend(&page, ", ", notices, notices == 1 ? " notice" : " notices");
  page += "\n";
  if (Number(result, "kept_cases") > 0) {
    absl::StrAppend(&page, "kept: ", Number(result, "kept_cases"),
                    " case records and their counts; they end by themselves\n");
  }
  for (const Json& place : result.at("still_named")) {
    absl::StrAppend(&page, "still named in ", place.get<std::string>(), "\n");
  }
  if (!dry) {
    page +=
        "The mail server's logs, backups, and the ledgers of other nodes are not changed. Mail of "
        "the\nfuture is recorded again.\n";
  }
  return page;
}

void AddStateVerbs(CLI::App* app, const VerbOptions& options, const char* version, Verb* chosen) {
  auto args = std::make_shared<StateArguments>();
  args->options = options;
  args->version = version;
  const auto verb = [&](const char* name, const char* help, Verb run) {
    return AddVerb(app, name, help, std::move(run), chosen);
  };
  CLI::App* backup = verb("backup", "copy deferd's state to a file, while deferd runs",
                          [args] { return RunBackup(*args); });
  backup->add_option("FILE", args->file, "a new file; -: standard output")->required();
  CLI::App* restore = verb("restore", "put a backup in the place of deferd's state",
                           [args] { return RunRestore(*args); });
  restore->add_option("FILE", args->file, "made by backup; -: standard input")->required();
  CLI::App* forget =
      verb("forget", "remove the recorded messages of a subject or an address (privacy)",
           [args] { return RunForget(*args); });
  forget
      ->add_option("WHAT", args->what,
                   "a subject, or an address: then all attempts that name it are removed")
      ->required();
  forget->add_flag("--dry-run", args->dry_run, "count, and remove nothing");
  for (CLI::App* one : {backup, restore, forget}) {
    one->add_option("--config", args->config, "deferd's configuration, which names state_dir")
        ->capture_default_str();
  }
}

}  // namespace deferd
