#include "limiter/app/doctor.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/admin/admin_client.h"
#include "limiter/admin/page_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr int64_t kEnough = 100;  // attempts, for a share to say something

// Collects findings.
class Report {
 public:
  void Ok(const std::string& what) { Add("ok", what, ""); }
  void Note(const std::string& what, const std::string& remedy) { Add("note", what, remedy); }
  void Warning(const std::string& what, const std::string& remedy) { Add("warning", what, remedy); }
  void Problem(const std::string& what, const std::string& remedy) { Add("problem", what, remedy); }
  Json Take() { return std::move(findings_); }

 private:
  void Add(const char* level, const std::string& what, const std::string& remedy) {
    findings_.push_back({{"level", level}, {"what", what}, {"remedy", remedy}});
  }

  Json findings_ = Json::array();
};

int64_t Percent(int64_t part, int64_t whole) { return whole == 0 ? 0 : 100 * part / whole; }

void LookAtMta(const DoctorFacts& facts, Report* report) {
  if (facts.mtas.empty()) {
    report->Note("neither Exim nor Postfix is installed here", "deferd counts what its logs say");
  } else {
    report->Ok(absl::StrCat("mail server: ", absl::StrJoin(facts.mtas, " and ")));
  }
  if (facts.panel_limiter) {
    report->Warning("the hosting panel's own limiter is at work here too",
                    "switch off its \"max defers and failures\", or mail is refused twice over");
  }
  const std::string& restrictions = facts.postfix_restrictions;
  if (!absl::StrContains(restrictions, "check_policy_service")) return;
  if (absl::StrContains(restrictions, "default_action=DUNNO")) {
    report->Ok("Postfix asks a policy service, and mail flows when that is away");
  } else {
    report->Problem("Postfix asks a policy service without default_action=DUNNO",
                    "take the line of deploy/postfix: else mail is refused when deferd is away");
  }
}

void LookAtLogs(const Json& status, Report* report) {
  const Json sources = status.value("sources", Json::array());
  if (sources.empty()) {
    report->Problem("no log is followed", "name one under [intake] in deferd.toml and restart");
    return;
  }
  for (const Json& source : sources) {
    const std::string path = Field(source, "path");
    const std::string problem = Field(source, "problem");
    const bool journal = absl::StartsWith(path, "journal:");
    if (!problem.empty()) {
      report->Problem(absl::StrCat(path, ": ", problem),
                      journal ? "deferd's unit has that group (SupplementaryGroups=); where "
                                "journald keeps nothing, name a log file under [intake]"
                              : "let deferd read it: put its user into the log's group (adm), or "
                                "correct the path under [intake]");
    } else if (source.value("lag_seconds", 0.0) > 60) {
      report->Problem(
          absl::StrCat(path, " is read ", Number(source, "lag_seconds"), " seconds behind its end"),
          "if deferd is not busy with a backlog, look at the clock and at [intake] "
          "timezone");
    } else {
      report->Ok(absl::StrCat(path, " is read to its end"));
    }
    if (journal && problem.empty() && Number(source, "bytes") == 0) {
      report->Note(absl::StrCat(path, " had no entry of the mail server since deferd started"),
                   "if it sent mail: does it log to syslog, facility mail? And is it its user that "
                   "[intake] journal_users has?");
    }
    if (Number(source, "gaps") > 0) {
      report->Warning(absl::StrCat(path, " has ", Number(source, "gaps"),
                                   " gaps: lines that were lost before they were read"),
                      journal ? "let journald keep more (SystemMaxUse= in journald.conf) than "
                                "comes while deferd may be away"
                              : "keep rotated logs beside the log, and for longer than deferd may "
                                "be away");
    }
  }
  const Json lines = status.value("lines", Json::object());
  const int64_t all = Number(lines, "lines");
  if (all >= kEnough && Number(lines, "attempts") == 0) {
    report->Problem("no line of the logs tells of a delivery",
                    "is it the mail server's log, and under the right name (exim, postfix)?");
  }
  if (all >= kEnough && Percent(Number(lines, "malformed"), all) >= 1) {
    report->Warning(
        absl::StrCat(Number(lines, "malformed"), " of ", all, " lines could not be read"),
        "is it the log of another program, or of the other mail server?");
  }
}

void LookAtCharging(const Json& status, Report* report) {
  const Json charged = status.value("charged", Json::object());
  int64_t all = 0;
  std::vector<std::string> how;
  for (const auto& [kind, count] : charged.items()) {
    all += count.get<int64_t>();
    if (kind != "nobody" && count.get<int64_t>() > 0) {
      how.push_back(absl::StrCat(kind, " ", count.get<int64_t>()));
    }
  }
  const int64_t nobody = Number(charged, "nobody");
  if (all >= kEnough && Percent(nobody, all) >= 90) {
    report->Problem(
        absl::StrCat("of ", Percent(nobody, all), "% of the attempts it is not known who pays"),
        "name the hosts that submit without a login as [charge] relay_hosts, and map "
        "system users with [charge] users");
  } else if (all > 0) {
    report->Ok(
        absl::StrCat("attempts are charged to ", absl::StrJoin(how, ", "), "; to nobody ", nobody));
  }
  if (Number(charged, "local") > 0 && Number(charged, "account") == 0) {
    report->Warning("local users are not mapped to domains, so their mail blocks nobody",
                    "name a map as [charge] users (/etc/userdomains, or \"user: domain\")");
  }
  const Json left_out = status.value("left_out", Json::object());
  if (Number(left_out, "future") > 0) {
    report->Problem(absl::StrCat(Number(left_out, "future"),
                                 " attempts are stamped over five minutes in the future"),
                    "set the clock, or [intake] timezone");
  }
  if (!Flag(status, "hosted_list")) {
    report->Note("there is no list of the domains that are hosted here",
                 "name one as [charge] hosted, so that no other domain is ever blocked");
  }
}

void LookAtQuestions(const DoctorFacts& facts, Report* report) {
  const Json& status = facts.status;
  const Json listening = status.value("listening", Json::object());
  if (!listening.contains("exim") && !listening.contains("postfix")) {
    report->Problem("no mail server can ask: there is no [hook]", "name a socket under [hook]");
    return;
  }
  if (!facts.hook_problem.empty()) {
    report->Problem(absl::StrCat("a question got no answer: ", facts.hook_problem),
                    "is the socket's group that of the mail server, and for a chrooted Postfix "
                    "below /var/spool/postfix?");
  }
  const Json questions = status.value("questions", Json::object());
  if (Field(questions, "last").empty()) {
    report->Warning("no mail server has asked since deferd started",
                    "paste the lines of deploy/exim or deploy/postfix, and reload the mail server");
  } else {
    report->Ok(absl::StrCat(Number(questions, "answered"), " questions were answered, the last at ",
                            ShortTime(Field(questions, "last")), " UTC"));
  }
}

// A smarthost takes everything, and what becomes of it later is in its own log.
void LookAtHosts(const Json& attempts, Report* report) {
  std::map<std::string, int64_t> hosts;
  int64_t remote = 0;
  for (const Json& one : attempts) {
    const std::string host = Field(one, "host");
    if (host.empty() || Field(one, "outcome") != "delivered") continue;
    ++hosts[host];
    ++remote;
  }
  if (remote < kEnough) return;
  const auto most = std::max_element(
      hosts.begin(), hosts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (Percent(most->second, remote) >= 95) {
    report->Warning(absl::StrCat(most->first, " takes ", Percent(most->second, remote),
                                 "% of the mail: a smarthost hides what becomes of it"),
                    "run deferd where that server's log is, or list the host as [charge] "
                    "internal_hosts");
  }
}

void LookAtPolicy(const DoctorFacts& facts, Report* report) {
  const Json policy = facts.status.value("policy", Json::object());
  if (Flag(policy, "stale")) {
    report->Problem("the policy file has a mistake, and an older policy is in force",
                    Field(policy, "error"));
  }
  if (Field(facts.status, "mode") == "shadow") {
    report->Note("the policy is in mode shadow: nobody is refused",
                 "when the cases are the right ones: mode = \"enforce\", deferctl reload");
  }
  int64_t open = 0, shadow = 0;
  std::string names;
  for (const Json& block : facts.blocks.is_array() ? facts.blocks : Json::array()) {
    ++(Flag(block, "shadow") ? shadow : open);
    if (open + shadow <= 5) {
      absl::StrAppend(&names, names.empty() ? "" : ", ", Field(block, "subject"));
    }
  }
  if (open + shadow == 0) {
    report->Ok("nobody is blocked, nor would be");
  } else {
    report->Note(absl::StrCat(open, " are blocked and ", shadow, " would be: ", names),
                 "deferctl blocks; deferctl why SUBJECT");
  }
}

// Connects to the doors of mail servers that are unix sockets, and says what it met. Asks nothing:
// it would pass for a mail server's question.
std::string TryHook(const Json& listening) {
  for (const char* name : {"exim", "postfix"}) {
    std::string path = Field(listening, name);
    if (!absl::StartsWith(path, "unix:")) continue;
    path = path.substr(sizeof("unix:") - 1);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) continue;
    path.copy(address.sun_path, path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    absl::Cleanup close_fd = [fd] { close(fd); };
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      return absl::StrCat(path, ": ", std::strerror(errno));
    }
  }
  return "";
}

bool Exists(const char* path) {
  struct stat unused;
  return stat(path, &unused) == 0;
}

}  // namespace

Json Diagnose(const DoctorFacts& facts) {
  Report report;
  LookAtMta(facts, &report);
  if (!facts.unreachable.empty()) {
    report.Problem(absl::StrCat("deferd does not answer: ", facts.unreachable),
                   "start it (systemctl start deferd), or name its socket with --socket");
    return report.Take();
  }
  LookAtLogs(facts.status, &report);
  LookAtCharging(facts.status, &report);
  LookAtQuestions(facts, &report);
  LookAtHosts(facts.attempts, &report);
  LookAtPolicy(facts, &report);
  const Json store = facts.status.value("store", Json::object());
  if (!Field(store, "problem").empty()) {
    report.Problem(absl::StrCat("counts cannot be saved: ", Field(store, "problem")),
                   "make room on the disk; deferd saves all of it by itself then");
  }
  if (Flag(facts.status, "unchecked")) {
    std::string causes;
    for (const Json& cause : facts.status.value("causes", Json::array())) {
      absl::StrAppend(&causes, causes.empty() ? "" : "; ", cause.get<std::string>());
    }
    report.Problem(absl::StrCat("answers are unchecked: ", causes),
                   "mail flows, but bad mail too, until that is over");
  }
  return report.Take();
}

DoctorFacts Gather(const std::string& socket, absl::Time now) {
  constexpr absl::Duration kPatience = absl::Seconds(10);
  DoctorFacts facts;
  facts.now = now;
  for (const auto& [name, paths] :
       {std::pair("Exim", std::vector<const char*>{"/usr/sbin/exim4", "/usr/sbin/exim"}),
        std::pair("Postfix", std::vector<const char*>{"/usr/sbin/postfix"})}) {
    if (std::any_of(paths.begin(), paths.end(), Exists)) facts.mtas.push_back(name);
  }
  facts.panel_limiter = Exists("/var/cpanel/email_send_limits");
  if (Exists("/usr/sbin/postconf")) {
    if (FILE* run = popen("/usr/sbin/postconf -h smtpd_recipient_restrictions "
                          "smtpd_end_of_data_restrictions smtpd_data_restrictions "
                          "smtpd_sender_restrictions smtpd_relay_restrictions 2>/dev/null",
                          "re")) {
      char buffer[4096];
      size_t size = 0;
      while ((size = fread(buffer, 1, sizeof buffer, run)) > 0) {
        facts.postfix_restrictions.append(buffer, size);
      }
      pclose(run);
    }
  }
  absl::StatusOr<Json> status = AskDaemon(socket, "status", Json::object(), kPatience);
  if (!status.ok()) {
    facts.unreachable = std::string(status.status().message());
    return facts;
  }
  facts.status = *std::move(status);
  facts.hook_problem = TryHook(facts.status.value("listening", Json::object()));
  facts.blocks = AskDaemon(socket, "blocks", Json::object(), kPatience).value_or(Json(nullptr));
  facts.attempts =
      AskDaemon(socket, "track", {{"limit", 1000}, {"outcome", "delivered"}}, kPatience)
          .value_or(Json::array());
  return facts;
}

std::string DoctorPage(const Json& findings) {
  std::string out;
  for (const Json& one : findings) {
    const std::string level = Field(one, "level");
    absl::StrAppend(
        &out, Wrapped(absl::StrCat(level, std::string(9 - level.size(), ' ')), Field(one, "what")));
    const std::string remedy = Field(one, "remedy");
    if (!remedy.empty()) absl::StrAppend(&out, Wrapped("         -> ", remedy));
  }
  return out;
}

int DoctorExit(const Json& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Json& one) { return Field(one, "level") == "problem"; })
             ? 1
             : 0;
}

}  // namespace deferd
