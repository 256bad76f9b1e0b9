// Which Exims and Postfixes this machine has, and what each says of its configuration.

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/config.h"
#include "limiter/ctl/doctor.h"
#include "limiter/ctl/doctor_mta.h"
#include "limiter/port/command.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kInstancesPatience = absl::Seconds(20);
constexpr char kPostfixFolder[] = "/usr/sbin";

bool IsProgram(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

// The output; else *problem says what the program said.
std::string Output(const std::vector<std::string>& argv, std::string* problem) {
  absl::StatusOr<Commands::Ended> ended = Commands().RunAnyhow(argv, "", kInstancesPatience);
  if (!ended.ok()) {
    *problem = std::string(ended.status().message());
    return "";
  }
  if (ended->ok()) return std::move(ended->output);
  // Exim warns of other things first.
  const std::string& said = ended->error.empty() ? ended->output : ended->error;
  std::string text;
  for (absl::string_view line : absl::StrSplit(said, '\n', absl::SkipWhitespace())) {
    if (!text.empty() && (absl::StrContains(text, "error") || absl::StrContains(text, "fatal"))) {
      absl::StrAppend(&text, " ", absl::StripAsciiWhitespace(line));
      break;
    }
    if (absl::StrContains(line, "error") || absl::StrContains(line, "fatal") || text.empty()) {
      text = std::string(absl::StripAsciiWhitespace(line));
    }
  }
  *problem = absl::StrCat(argv[0], " ended with status ", ended->status,
                          text.empty() ? "" : absl::StrCat(": ", PrintableUtf8(text)));
  return "";
}

// The files that running Exims were given by -C, each once.
std::vector<std::string> ConfigsOfRunningExims() {
  std::vector<std::string> configs;
  DIR* const processes = opendir("/proc");
  if (processes == nullptr) return configs;
  while (const dirent* process = readdir(processes)) {
    int unused = 0;
    if (!absl::SimpleAtoi(process->d_name, &unused)) continue;
    std::ifstream file(absl::StrCat("/proc/", process->d_name, "/cmdline"));
    const std::string line((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    const std::vector<std::string> words = absl::StrSplit(line, '\0');
    absl::string_view program = words[0];
    program.remove_prefix(program.rfind('/') + 1);
    if (program != "exim" && program != "exim4") continue;
    for (size_t i = 1; i < words.size(); ++i) {
      absl::string_view word = words[i];
      if (!absl::ConsumePrefix(&word, "-C")) continue;
      if (word.empty() && i + 1 < words.size()) word = words[i + 1];
      if (absl::StartsWith(word, "/")) configs.emplace_back(word);
    }
  }
  closedir(processes);
  std::sort(configs.begin(), configs.end());
  configs.erase(std::unique(configs.begin(), configs.end()), configs.end());
  return configs;
}

// Of "name = value" lines.
std::string ValueOf(const std::string& lines, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(lines, '\n')) {
    if (ItemName(line) == name) return std::string(ItemValue(line));
  }
  return "";
}

// `file`: for -C; empty: Exim's own.
DoctorFacts::Exim LookAtOneExim(const std::string& program, const std::string& file) {
  DoctorFacts::Exim exim = {.name = file, .problem = "", .config = {}, .user = {}};
  const auto run = [&](std::vector<std::string> arguments, std::string* problem) {
    arguments.insert(arguments.begin(), program);
    if (!file.empty()) arguments.insert(arguments.begin() + 1, {"-C", file});
    return Output(arguments, problem);
  };
  exim.config.text = run({"-bP", "config"}, &exim.problem);
  if (exim.problem.empty() && absl::StripAsciiWhitespace(exim.config.text).empty()) {
    exim.problem = "Exim shows its configuration to its administrators alone";
  }
  for (const std::string& path : EximAclFiles(exim.config.text)) {
    absl::StatusOr<std::string> text = ReadTextFile(path);
    if (text.ok()) {
      exim.config.files[path] = *std::move(text);
    } else {
      exim.config.unreadable[path] =
          std::string(absl::StripPrefix(text.status().message(), absl::StrCat(path, ": ")));
    }
  }
  std::string unused;
  const std::string names = run({"-bP", "exim_user", "exim_group"}, &unused);
  exim.user = FindMailUser(ValueOf(names, "exim_user"), ValueOf(names, "exim_group"));
  for (const char* user : {"Debian-exim", "exim", "mail"}) {
    if (exim.user.name.empty()) exim.user = FindMailUser(user, "");
  }
  return exim;
}

DoctorFacts::Postfix LookAtOnePostfix(const std::string& postconf, const std::string& folder) {
  DoctorFacts::Postfix postfix;
  postfix.name = folder;
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), postconf);
    if (!folder.empty()) arguments.insert(arguments.begin() + 1, {"-c", folder});
    std::string problem;
    std::string output = Output(arguments, &problem);
    if (postfix.problem.empty()) postfix.problem = problem;
    return output;
  };
  const auto value = [&](const std::string& name) {
    return std::string(absl::StripAsciiWhitespace(run({"-h", name})));
  };
  // Names of the operator's own are in the second alone.
  postfix.main = run({});
  if (!postfix.problem.empty()) return postfix;
  absl::StrAppend(&postfix.main, run({"-n"}));
  postfix.master = run({"-M"});
  std::map<std::string, std::string> asking;
  for (absl::string_view line : absl::StrSplit(postfix.main, '\n')) {
    if (!absl::StartsWith(line, "#")) asking[std::string(ItemName(line))] = std::string(line);
  }
  for (const auto& [name, line] : asking) {
    if (absl::StrContains(line, "check_policy_service")) {
      absl::StrAppend(&postfix.restrictions, line, "\n");
    }
  }
  for (absl::string_view line : absl::StrSplit(postfix.master, '\n')) {
    if (absl::StrContains(line, "check_policy_service")) {
      absl::StrAppend(&postfix.restrictions, line, "\n");
    }
  }
  postfix.default_action = value("smtpd_policy_service_default_action");
  postfix.queue = value("queue_directory");
  postfix.filter = absl::StrCat(value("content_filter"), " ", value("smtpd_proxy_filter"));
  if (absl::StripAsciiWhitespace(postfix.filter).empty()) postfix.filter.clear();
  postfix.senders = value("sender_dependent_default_transport_maps");
  for (absl::string_view map :
       absl::StrSplit(postfix.senders, absl::ByAnyChar(", \t\n"), absl::SkipEmpty())) {
    const std::string path(absl::StripPrefix(map, "hash:"));
    if (absl::StartsWith(map, "hash:/") && access((path + ".db").c_str(), F_OK) != 0) {
      postfix.missing_tables.push_back(path);
    }
  }
  postfix.user = FindMailUser(value("mail_owner"), "");
  return postfix;
}

void FindExims(const DoctorOptions& options, DoctorFacts* facts) {
  std::vector<std::string> programs = {"/usr/sbin/exim4", "/usr/sbin/exim", "/usr/exim/bin/exim"};
  if (!options.exim.empty()) programs = {options.exim};
  const auto program = std::find_if(programs.begin(), programs.end(), IsProgram);
  if (program == programs.end()) return;
  facts->mtas.push_back("Exim");
  // Exim's own configuration, and those of others that run beside it.
  std::vector<std::string> configs = options.exim_configs;
  if (configs.empty()) {
    configs = ConfigsOfRunningExims();
    configs.insert(configs.begin(), "");
  }
  for (const std::string& config : configs) {
    facts->exims.push_back(LookAtOneExim(*program, config));
  }
  if (configs.size() == 1) {
    facts->exims[0].name.clear();
  } else if (facts->exims[0].name.empty()) {
    facts->exims[0].name = "its own configuration";
  }
}

void FindPostfixes(const DoctorOptions& options, DoctorFacts* facts) {
  const std::string postconf =
      absl::StrCat(options.postfix.empty() ? kPostfixFolder : options.postfix, "/postconf");
  if (!IsProgram(postconf)) return;
  facts->mtas.push_back("Postfix");
  std::vector<std::string> folders = options.postfix_configs;
  if (folders.empty()) {
    folders = {""};
    std::string unused;
    for (absl::string_view folder :
         absl::StrSplit(Output({postconf, "-h", "multi_instance_directories"}, &unused),
                        absl::ByAnyChar(", \t\n"), absl::SkipEmpty())) {
      const std::string path(folder);
      const std::string enabled =
          Output({postconf, "-c", path, "-h", "multi_instance_enable"}, &unused);
      if (absl::StripAsciiWhitespace(enabled) == "no") {
        facts->switched_off.push_back(path);
      } else {
        folders.push_back(path);
      }
    }
  }
  for (const std::string& folder : folders) {
    facts->postfixes.push_back(LookAtOnePostfix(postconf, folder));
  }
  if (folders.size() == 1) {
    facts->postfixes[0].name.clear();
  } else if (facts->postfixes[0].name.empty()) {
    std::string unused;
    const std::string folder = Output({postconf, "-h", "config_directory"}, &unused);
    facts->postfixes[0].name = std::string(absl::StripAsciiWhitespace(folder));
  }
}

}  // namespace

void FindMailServers(const DoctorOptions& options, DoctorFacts* facts) {
  FindExims(options, facts);
  FindPostfixes(options, facts);
}

}  // namespace deferd
