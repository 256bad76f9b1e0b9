#include "limiter/config/config_check.h"

#include <glob.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"

namespace deferd {

namespace {

bool HasGroup(const std::string& name) { return getgrnam(name.c_str()) != nullptr; }

constexpr const char* kEximGroups[] = {"Debian-exim", "exim", "mailnull"};
constexpr const char* kPostfixGroups[] = {"postfix"};

// The groups of the mail servers on this machine, quoted.
std::vector<std::string> MailGroups() {
  std::vector<std::string> groups;
  for (absl::Span<const char* const> names : {absl::Span<const char* const>(kEximGroups),
                                              absl::Span<const char* const>(kPostfixGroups)}) {
    for (const char* name : names) {
      if (HasGroup(name)) groups.push_back(absl::StrCat("\"", name, "\""));
    }
  }
  return groups;
}

bool IsFolder(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string FolderOf(absl::string_view path) {
  return std::string(path.substr(0, std::max<size_t>(1, path.rfind('/'))));
}

class Checker {
 public:
  explicit Checker(MachineFindings* findings) : findings_(findings) {}

  void Group(absl::string_view table, const std::string& group) {
    if (group.empty() || HasGroup(group)) return;
    const std::vector<std::string> here = MailGroups();
    findings_->errors.push_back(absl::StrCat(
        table, " group: this machine has no group \"", group, "\"; ",
        here.empty()
            ? std::string("install the mail server first, or remove the line")
            : absl::StrCat("the mail server's group here is ", absl::StrJoin(here, " or "))));
  }

  // `left_out`: deferd starts without it if its folder is missing.
  void Socket(absl::string_view key, absl::string_view address, bool left_out = false) {
    absl::ConsumePrefix(&address, "unix:");
    if (!absl::StartsWith(address, "/")) return;  // TCP, or disabled
    const std::string folder = FolderOf(address);
    if (left_out || IsFolder(folder)) return;
    std::string text = absl::StrCat(key, ": directory ", folder, " is missing for ", address);
    // systemd creates the unit's own directories below /run when it starts deferd.
    if (absl::StartsWith(folder, "/run/") || absl::StartsWith(folder, "/var/run/")) {
      findings_->warnings.push_back(
          absl::StrCat(text, "; the systemd unit creates it at each start"));
    } else {
      findings_->errors.push_back(
          absl::StrCat(text,
                       "; create it and give the mail server access, or enable the unit "
                       "deferd-postfix.socket, which creates it"));
    }
  }

  void Log(absl::string_view key, const std::string& pattern) {
    glob_t found = {};
    const int result = glob(pattern.c_str(), 0, nullptr, &found);
    if (result != 0) {
      const std::string folder = FolderOf(pattern);
      const bool plain = pattern.find_first_of("*?[") == std::string::npos;
      findings_->warnings.push_back(
          plain && !IsFolder(folder)
              ? absl::StrCat(key, ": directory ", folder, " is missing, so deferd cannot read ",
                             pattern, "; is this mail server installed here?")
              : absl::StrCat(key, ": no file ", pattern,
                             " yet; it is followed as soon as the mail server creates it"));
    }
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      if (access(found.gl_pathv[i], R_OK) == 0) continue;
      findings_->warnings.push_back(absl::StrCat(key, ": cannot read ", found.gl_pathv[i],
                                                 " as this user (", std::strerror(errno),
                                                 "); on Debian the group adm may read logs"));
    }
    globfree(&found);
  }

 private:
  MachineFindings* const findings_;
};

}  // namespace

std::string MailGroup(HookDoor door) {
  const absl::Span<const char* const> names = door == HookDoor::kExim
                                                  ? absl::Span<const char* const>(kEximGroups)
                                                  : absl::Span<const char* const>(kPostfixGroups);
  for (const char* name : names) {
    if (HasGroup(name)) return name;
  }
  return "";
}

bool OnlyTheOtherIsHere(HookDoor door, const std::string& root) {
  const auto has = [&](const char* program) { return access((root + program).c_str(), F_OK) == 0; };
  const bool exim = has("/usr/sbin/exim4") || has("/usr/sbin/exim");
  const bool postfix = has("/usr/sbin/postfix");
  return door == HookDoor::kExim ? postfix && !exim : exim && !postfix;
}

std::vector<std::string> LogsToFollow(const std::vector<std::string>& patterns, bool absent) {
  std::vector<std::string> followed;
  for (const std::string& pattern : patterns) {
    glob_t found = {};
    if (!absent || glob(pattern.c_str(), 0, nullptr, &found) == 0) followed.push_back(pattern);
    globfree(&found);
  }
  return followed;
}

bool HasNoFolder(absl::string_view address) {
  return absl::ConsumePrefix(&address, "unix:") && !IsFolder(FolderOf(address));
}

std::string GroupOfDoor(HookDoor door) {
  const std::string name = MailGroup(door);
  const group* const entry = name.empty() ? nullptr : getgrnam(name.c_str());
  if (entry == nullptr) return "";
  const gid_t gid = entry->gr_gid;
  std::vector<gid_t> own(static_cast<size_t>(std::max(getgroups(0, nullptr), 0)));
  own.resize(static_cast<size_t>(std::max(getgroups(static_cast<int>(own.size()), own.data()), 0)));
  const bool member = getegid() == gid || std::find(own.begin(), own.end(), gid) != own.end();
  return geteuid() == 0 || member ? name : "";
}

std::string NoOwnerRelease(const Config& config, const Policy& policy) {
  const auto rule = std::find_if(policy.rules.begin(), policy.rules.end(),
                                 [](const Rule& one) { return one.owner_release; });
  if (rule == policy.rules.end()) return "";
  const std::string who = absl::StrCat("rule ", rule->name, " says owner_release, but ");
  if (config.owner_page.empty()) {
    return absl::StrCat(who,
                        "no owner can release anything without the owner's page; set [api] "
                        "owner_page");
  }
  if (!config.ledger.enabled) {
    return absl::StrCat(who,
                        "no owner can release anything without the ledger, which has the answers "
                        "that allow it; set [ledger] enabled = true");
  }
  return "";
}

std::string WrongMailServer(const Config& config, bool exim_here, bool postfix_here) {
  const bool for_exim = !config.hook_exim.empty() || !config.exim_logs.empty();
  const bool for_postfix =
      !config.hook_postfix.empty() || !config.postfix_logs.empty() || config.journal.postfix;
  if (for_exim && !for_postfix && postfix_here && !exim_here) {
    return "this machine has Postfix and not Exim, but the configuration is for Exim: in [intake] "
           "write postfix = [\"/var/log/mail.log\"] in place of exim; in [hook] postfix = "
           "\"unix:/var/spool/postfix/deferd/policy.sock\" in place of exim, and no group, or "
           "group = \"postfix\"";
  }
  if (for_postfix && !for_exim && !config.journal.exim && exim_here && !postfix_here) {
    return "this machine has Exim and not Postfix, but the configuration is for Postfix: in "
           "[intake] "
           "write exim = [\"/var/log/exim4/mainlog\"] in place of postfix; in [hook] exim = "
           "\"unix:/run/deferd/exim.sock\" in place of postfix, and no group, or group = "
           "\"Debian-exim\"";
  }
  return "";
}

MachineFindings CheckMachine(const Config& config) {
  MachineFindings findings;
  const bool exim_here = !MailGroup(HookDoor::kExim).empty();
  const bool postfix_here = !MailGroup(HookDoor::kPostfix).empty();
  std::string wrong = WrongMailServer(config, exim_here, postfix_here);
  if (!wrong.empty()) findings.errors.push_back(std::move(wrong));
  const bool no_exim = OnlyTheOtherIsHere(HookDoor::kExim);
  const bool no_postfix = OnlyTheOtherIsHere(HookDoor::kPostfix);
  Checker checker(&findings);
  if (!config.hook_exim.empty() || !config.hook_postfix.empty()) {
    checker.Group("[hook]", config.hook_options.group);
  }
  checker.Group("[admin]", config.admin_options.group);
  checker.Group("[admin]", config.readers_options.group);
  for (const std::string& address : config.hook_exim) {
    checker.Socket("[hook] exim", address, no_exim);
  }
  for (const std::string& address : config.hook_postfix) {
    checker.Socket("[hook] postfix", address, no_postfix);
  }
  checker.Socket("[admin] socket", config.admin_socket);
  checker.Socket("[admin] readers", config.readers_socket);
  for (const std::string& log : LogsToFollow(config.exim_logs, no_exim)) {
    checker.Log("[intake] exim", log);
  }
  for (const std::string& log : LogsToFollow(config.postfix_logs, no_postfix)) {
    checker.Log("[intake] postfix", log);
  }
  return findings;
}

}  // namespace deferd
