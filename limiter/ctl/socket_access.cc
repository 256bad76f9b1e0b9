#include "limiter/ctl/socket_access.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace deferd {

namespace {

std::string UserName(uid_t uid) {
  const passwd* entry = getpwuid(uid);
  return entry == nullptr ? absl::StrCat(uid) : entry->pw_name;
}

std::string GroupName(gid_t gid) {
  const group* entry = getgrgid(gid);
  return entry == nullptr ? absl::StrCat(gid) : entry->gr_name;
}

// Whether the mode has `bits` for the user.
bool Allows(const PathStep& step, const MailUser& user, int bits) {
  const int shift = step.uid == user.uid ? 6 : step.gid == user.gid ? 3 : 0;
  return (step.mode >> shift & bits) == bits;
}

std::string Described(const PathStep& step) {
  return absl::StrCat(step.path, " belongs to ", step.user, ":", step.group, " with mode ",
                      absl::StrFormat("%04o", step.mode));
}

// deferd gives a socket to the mail server's group by itself, if it is a member; a [hook] group of
// which it is none keeps it from starting.
std::string SocketRemedy(const PathStep& socket, const MailUser& user) {
  const std::string mode =
      (socket.mode & 020) != 0 ? "" : ", and [hook] mode = \"0660\" in deferd.toml";
  if (socket.gid == user.gid) return "[hook] mode = \"0660\" in deferd.toml; restart deferd";
  if (socket.uid == 0) {
    return absl::StrCat("systemctl edit the .socket unit of ", socket.path, ": below [Socket], ",
                        "SocketGroup=", user.group, " and SocketMode=0660; restart that unit");
  }
  return absl::StrCat("usermod -a -G ", user.group, " ", socket.user,
                      "; no other group as [hook] group", mode, "; restart deferd");
}

}  // namespace

MailUser FindMailUser(const std::string& user, const std::string& group) {
  MailUser found;
  uid_t uid = 0;
  const passwd* entry = absl::SimpleAtoi(user, &uid) ? getpwuid(uid) : getpwnam(user.c_str());
  if (entry == nullptr) return found;
  found = {.name = entry->pw_name,
           .group = "",
           .uid = entry->pw_uid,
           .gid = entry->pw_gid,
           .other_groups = {}};
  gid_t gid = 0;
  if (absl::SimpleAtoi(group, &gid)) {
    found.gid = gid;
  } else if (const struct group* named = getgrnam(group.c_str()); named != nullptr) {
    found.gid = named->gr_gid;
  }
  found.group = GroupName(found.gid);
  gid_t groups[64];
  int count = 64;
  if (getgrouplist(found.name.c_str(), found.gid, groups, &count) >= 0) {
    for (int i = 0; i < count; ++i) {
      if (groups[i] != found.gid) found.other_groups.push_back(GroupName(groups[i]));
    }
  }
  return found;
}

std::vector<PathStep> StepsTo(const std::string& path) {
  std::vector<PathStep> steps;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    PathStep step = {.path = end == std::string::npos ? path : path.substr(0, end)};
    if (steps.empty()) {
      steps.push_back({.path = "/", .mode = 0755, .user = "root", .group = "root"});
    }
    struct stat info;
    if (stat(step.path.c_str(), &info) != 0) {
      // What doctor itself may not see is left to whoever may.
      if (errno != ENOENT && errno != ENOTDIR) return {};
      step.missing = true;
      steps.push_back(std::move(step));
      return steps;
    }
    step.mode = static_cast<int>(info.st_mode & 07777);
    step.uid = info.st_uid;
    step.gid = info.st_gid;
    step.user = UserName(info.st_uid);
    step.group = GroupName(info.st_gid);
    step.access_list = getxattr(step.path.c_str(), "system.posix_acl_access", nullptr, 0) > 0;
    steps.push_back(std::move(step));
  }
  return steps;
}

std::optional<WiringFault> StopsAt(const std::vector<PathStep>& steps, const MailUser& user,
                                   absl::string_view root) {
  if (user.name.empty() || user.uid == 0) return std::nullopt;
  for (const PathStep& step : steps) {
    const bool socket = &step == &steps.back();
    if (step.missing) {
      return WiringFault{absl::StrCat("there is no ", step.path, ", where the mail server asks"),
                         "start deferd, which makes its sockets; a folder has to be there before"};
    }
    if (!root.empty() && step.path.size() < root.size() && absl::StartsWith(root, step.path)) {
      continue;
    }
    // Connecting wants to write; a folder wants to be searched.
    if (step.access_list || Allows(step, user, socket ? 2 : 1)) continue;
    std::string what = absl::StrCat("the mail server (", user.name, ":", user.group, ") may not ",
                                    socket ? "ask at" : "pass", ": ", Described(step));
    if (std::find(user.other_groups.begin(), user.other_groups.end(), step.group) !=
        user.other_groups.end()) {
      absl::StrAppend(&what, ", and that ", user.name, " is listed in ", step.group,
                      " does not help, since it runs with its first group alone");
    }
    return WiringFault{
        what,
        socket ? SocketRemedy(step, user)
        : step.user == "deferd" || step.group == user.group
            ? absl::StrCat("chgrp ", user.group, " ", step.path, "; chmod 0750 ", step.path)
            : absl::StrCat("chmod o+x ", step.path, ", or let [hook] name a socket elsewhere")};
  }
  return std::nullopt;
}

}  // namespace deferd
