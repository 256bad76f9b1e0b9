// What `deferctl doctor` learns of the daemon and of this machine.

#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/doctor.h"
#include "limiter/hook/question.h"
#include "limiter/localrpc/admin_client.h"

namespace deferd {

namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr timeval kAnswerTime = {.tv_sec = 2, .tv_usec = 0};  // as long as MTAs wait

bool Exists(const char* path) {
  struct stat unused;
  return stat(path, &unused) == 0;
}

// A unix socket's path; empty if the door is none.
std::string DoorPath(const Json& listening, const char* name) {
  const std::string address = Field(listening, name);
  return absl::StartsWith(address, "unix:") ? address.substr(sizeof("unix:") - 1) : "";
}

std::string SystemError(const std::string& path) {
  return absl::StrCat(path, ": ", std::strerror(errno));
}

// Asks a question at one door, and says what it met; empty: the beginning of an answer that was
// expected.
std::string Ask(const std::string& path, const std::string& question, const char* expected) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return absl::StrCat(path, ": too long a path");
  path.copy(address.sun_path, path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError(path);
  absl::Cleanup close_fd = [fd] { close(fd); };
  for (int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    setsockopt(fd, SOL_SOCKET, option, &kAnswerTime, sizeof(kAnswerTime));
  }
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      send(fd, question.data(), question.size(), MSG_NOSIGNAL) < 0) {
    return SystemError(path);
  }
  std::string answer;
  char buffer[512];
  while (!absl::StrContains(answer, '\n') && answer.size() < sizeof(buffer)) {
    const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
    if (size < 0) return SystemError(path);
    if (size == 0) break;
    answer.append(buffer, size);
  }
  if (absl::StartsWith(answer, expected)) return "";
  return absl::StrCat(path, ": answered ", answer.empty() ? "nothing" : answer);
}

// A question at each door that is a unix socket, as its mail server would ask it.
std::string TryHook(const Json& listening) {
  std::string problem;
  const std::string exim = DoorPath(listening, "exim");
  if (!exim.empty()) {
    problem = Ask(exim, absl::StrCat("check\tlogin=\thost=\tsender=", kTrialSender, "\n"), "pass");
  }
  const std::string postfix = DoorPath(listening, "postfix");
  if (problem.empty() && !postfix.empty()) {
    problem =
        Ask(postfix, absl::StrCat("request=smtpd_access_policy\nsender=", kTrialSender, "\n\n"),
            "action=DUNNO");
  }
  return problem;
}

void LookAtDoor(const Json& listening, const char* name, std::vector<const char*> mta_groups,
                DoctorFacts* facts) {
  const std::string path = DoorPath(listening, name);
  struct stat info;
  if (path.empty() || stat(path.c_str(), &info) != 0) return;
  const auto known = std::find_if(mta_groups.begin(), mta_groups.end(),
                                  [](const char* group) { return getgrnam(group) != nullptr; });
  if (known == mta_groups.end()) return;
  const group* owner = getgrgid(info.st_gid);
  facts->doors.push_back({.path = path,
                          .mode = static_cast<int>(info.st_mode & 0777),
                          .group = owner == nullptr ? absl::StrCat(info.st_gid) : owner->gr_name,
                          .mta_group = *known});
}

// What a command prints; empty if it cannot be run.
std::string OutputOf(const char* command) {
  std::string output;
  FILE* run = popen(command, "re");
  if (run == nullptr) return output;
  char buffer[4096];
  for (size_t size; (size = fread(buffer, 1, sizeof buffer, run)) > 0;) output.append(buffer, size);
  pclose(run);
  return output;
}

bool Contains(const std::string& path, absl::string_view text) {
  std::ifstream file(path);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return absl::StrContains(all, text);
}

void LookAtSyslog(DoctorFacts* facts) {
  struct stat socket;
  facts->anybody_logs = stat("/dev/log", &socket) == 0 && (socket.st_mode & S_IWOTH) != 0;
  facts->journal = Exists("/var/log/journal") || Exists("/run/log/journal");
  // As the manual has it (postfix.md).
  facts->rsyslog_checks = Contains("/etc/rsyslog.conf", "$!uid");
  glob_t files = {};
  if (glob("/etc/rsyslog.d/*.conf", 0, nullptr, &files) == 0) {
    for (size_t i = 0; i < files.gl_pathc; ++i) {
      facts->rsyslog_checks = facts->rsyslog_checks || Contains(files.gl_pathv[i], "$!uid");
    }
  }
  globfree(&files);
}

void LookAtMachine(DoctorFacts* facts) {
  LookAtSyslog(facts);
  for (const char* path : {"/usr/sbin/exim4", "/usr/sbin/exim"}) {
    if (!Exists(path)) continue;
    facts->mtas.push_back("Exim");
    // Exim shows it to its administrators alone.
    facts->exim_config = OutputOf(absl::StrCat(path, " -bP config 2>/dev/null").c_str());
    break;
  }
  if (Exists("/usr/sbin/postfix")) facts->mtas.push_back("Postfix");
  facts->panel_limiter = Exists("/var/cpanel/email_send_limits");
  for (const char* file : {"/etc/rspamd/local.d/ratelimit.conf",
                           "/etc/rspamd/override.d/ratelimit.conf", "/etc/postfix-policyd.conf",
                           "/etc/cluebringer/cluebringer.conf", "/etc/postfix/postfwd.cf"}) {
    if (Exists(file)) facts->other_limits.push_back(file);
  }
  if (!Exists("/usr/sbin/postconf")) return;
  const auto postconf = [](absl::string_view what) {
    return OutputOf(absl::StrCat("/usr/sbin/postconf ", what, " 2>/dev/null").c_str());
  };
  facts->postfix_restrictions = postconf(
      "-h smtpd_recipient_restrictions smtpd_end_of_data_restrictions "
      "smtpd_data_restrictions smtpd_sender_restrictions smtpd_relay_restrictions");
  const auto value = [&](absl::string_view name) {
    return std::string(absl::StripAsciiWhitespace(postconf(absl::StrCat("-h ", name))));
  };
  facts->postfix_default_action = value("smtpd_policy_service_default_action");
  facts->postfix_queue = value("queue_directory");
  facts->postfix_filter = value("content_filter smtpd_proxy_filter");
  facts->postfix_master = postconf("-M");
  // Names of the operator's own are in the second alone.
  facts->postfix_main = absl::StrCat(postconf(""), postconf("-n"));
  facts->postfix_senders = value("sender_dependent_default_transport_maps");
  for (absl::string_view map :
       absl::StrSplit(facts->postfix_senders, absl::ByAnyChar(", \t\n"), absl::SkipEmpty())) {
    const std::string path(absl::StripPrefix(map, "hash:"));
    if (absl::StartsWith(map, "hash:/") && !Exists((path + ".db").c_str())) {
      facts->missing_tables.push_back(path);
    }
  }
}

}  // namespace

DoctorFacts Gather(const std::string& socket, absl::Time now) {
  DoctorFacts facts;
  facts.now = now;
  LookAtMachine(&facts);
  absl::StatusOr<Json> status = AskDaemon(socket, "status", Json::object(), kPatience);
  if (!status.ok()) {
    facts.unreachable = std::string(status.status().message());
    return facts;
  }
  facts.status = *std::move(status);
  for (const Json& source : facts.status.value("sources", Json::array())) {
    const std::string path = Field(source, "path");
    struct stat info;
    if (stat(path.c_str(), &info) == 0) {
      facts.written[path] = absl::TimeFromTimespec(info.st_mtim);
      const passwd* owner = getpwuid(info.st_uid);
      facts.owners[path] = owner == nullptr ? absl::StrCat(info.st_uid) : owner->pw_name;
    }
  }
  const Json listening = facts.status.value("listening", Json::object());
  LookAtDoor(listening, "exim", {"Debian-exim", "exim", "mail"}, &facts);
  LookAtDoor(listening, "postfix", {"postfix"}, &facts);
  facts.hook_problem = TryHook(listening);
  facts.blocks = AskDaemon(socket, "blocks", Json::object(), kPatience).value_or(Json(nullptr));
  facts.attempts =
      AskDaemon(socket, "track", {{"limit", 1000}, {"outcome", "delivered"}}, kPatience)
          .value_or(Json::array());
  return facts;
}

}  // namespace deferd
