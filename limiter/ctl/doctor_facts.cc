// What `deferctl doctor` learns of the daemon and of this machine.

#include <glob.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

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
#include "limiter/ctl/doctor_mta.h"
#include "limiter/hook/question.h"
#include "limiter/localrpc/admin_client.h"

namespace deferd {

namespace {

constexpr absl::Duration kFactsPatience = absl::Seconds(10);
constexpr timeval kAnswerTime = {.tv_sec = 2, .tv_usec = 0};  // as long as MTAs wait

bool Exists(const char* path) {
  struct stat unused;
  return stat(path, &unused) == 0;
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
std::string TryHook(const Json& status) {
  for (const std::string& door : DoorsOf(status, "exim")) {
    if (!absl::StartsWith(door, "/")) continue;
    const std::string problem =
        Ask(door, absl::StrCat("check\tlogin=\thost=\tsender=", kTrialSender, "\n"), "pass");
    if (!problem.empty()) return problem;
  }
  for (const std::string& door : DoorsOf(status, "postfix")) {
    if (!absl::StartsWith(door, "/")) continue;
    const std::string problem =
        Ask(door, absl::StrCat("request=smtpd_access_policy\nsender=", kTrialSender, "\n\n"),
            "action=DUNNO");
    if (!problem.empty()) return problem;
  }
  return "";
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

void LookAtMachine(const DoctorOptions& options, DoctorFacts* facts) {
  LookAtSyslog(facts);
  FindMailServers(options, facts);
  facts->panel_limiter = Exists("/var/cpanel/email_send_limits");
  for (const char* file : {"/etc/rspamd/local.d/ratelimit.conf",
                           "/etc/rspamd/override.d/ratelimit.conf", "/etc/postfix-policyd.conf",
                           "/etc/cluebringer/cluebringer.conf", "/etc/postfix/postfwd.cf"}) {
    if (Exists(file)) facts->other_limits.push_back(file);
  }
}

}  // namespace

DoctorFacts Gather(const DoctorOptions& options, absl::Time now) {
  const std::string& socket = options.socket;
  DoctorFacts facts;
  facts.now = now;
  LookAtMachine(options, &facts);
  absl::StatusOr<Json> status = CallDaemon(socket, "status", Json::object(), kFactsPatience);
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
  for (const char* name : {"exim", "postfix"}) {
    for (const std::string& door : DoorsOf(facts.status, name)) {
      if (absl::StartsWith(door, "/")) facts.doors[door] = StepsTo(door);
    }
  }
  facts.hook_problem = TryHook(facts.status);
  facts.blocks =
      CallDaemon(socket, "blocks", Json::object(), kFactsPatience).value_or(Json(nullptr));
  facts.attempts =
      CallDaemon(socket, "track", {{"limit", 1000}, {"outcome", "delivered"}}, kFactsPatience)
          .value_or(Json::array());
  return facts;
}

}  // namespace deferd
