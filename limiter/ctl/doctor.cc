#include "limiter/ctl/doctor.h"

#include <algorithm>
#include <limits>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/doctor_mta.h"
#include "limiter/ctl/page_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr int64_t kStubborn = 3;  // times, after which a mail server is not just busy
constexpr int64_t kEnough = 100;  // attempts, for a share to say something

int64_t Percent(int64_t part, int64_t whole) {
  if (whole <= 0) return 0;
  return static_cast<int64_t>(100.0 * static_cast<double>(std::clamp<int64_t>(part, 0, whole)) /
                              static_cast<double>(whole));
}

void LookAtMta(const DoctorFacts& facts, DoctorReport* report) {
  if (facts.mtas.empty()) {
    report->Note("neither Exim nor Postfix is installed here", "deferd counts what its logs say");
  } else {
    report->Ok(absl::StrCat("mail server: ", absl::StrJoin(facts.mtas, " and ")));
  }
}

// A log that nothing is written to any more is the wrong one, or its server is down; the stamp of
// its last line and the time of its last writing are the same moment by two clocks.
void LookAtTimes(const DoctorFacts& facts, const Json& source, DoctorReport* report) {
  const std::string path = Field(source, "path");
  const auto written = facts.written.find(path);
  if (written == facts.written.end()) return;
  const absl::Duration silent = facts.now - written->second;
  if (silent > absl::Hours(24)) {
    report->Warning(
        absl::StrCat(path, " was last written to ", absl::ToInt64Hours(silent), " hours ago"),
        "is it the log that the mail server writes now?");
  }
  absl::Time stamp;
  std::string unused;
  if (!Flag(source, "at_end") || source.value("lag_seconds", 0.0) > 60 ||
      !absl::ParseTime(absl::RFC3339_full, Field(source, "last_stamp"), &stamp, &unused)) {
    return;
  }
  const absl::Duration off = stamp - written->second;
  if (absl::AbsDuration(off) < absl::Minutes(20)) return;
  // No zone is so far off another: a copy of an old log.
  if (absl::AbsDuration(off) > absl::Hours(26)) {
    report->Warning(
        absl::StrCat("the last line of ", path, " is of ", ZonedTime(Field(source, "last_stamp"))),
        "is it the log that the mail server writes now, or a copy of an old one?");
    return;
  }
  report->Problem(
      absl::StrCat("the stamps of ", path, " are ", absl::ToInt64Minutes(absl::AbsDuration(off)),
                   " minutes ", off < absl::ZeroDuration() ? "behind" : "ahead of", " the clock"),
      "set [intake] timezone to the zone that the log is written in");
}

// Exim's own log belongs to Exim. What syslog writes belongs to it or to root, and syslog takes
// every local program's word for which program it is.
void LookAtWriters(const DoctorFacts& facts, const std::string& path, DoctorReport* report) {
  const auto owner = facts.owners.find(path);
  if (owner == facts.owners.end() || !facts.anybody_logs || facts.rsyslog_checks) return;
  for (const char* exim : {"Debian-exim", "exim", "mail"}) {
    if (owner->second == exim) return;
  }
  report->Warning(
      absl::StrCat("any local user may write lines into ", path,
                   " (logger -p mail.info), and so have somebody else blocked"),
      facts.journal
          ? "follow the journal, which proves who wrote: [intake] journal = [\"postfix\"] "
            "or [\"exim\"], and this file no more"
          : "let rsyslog drop what the mail server did not write: see \"Who writes the log?\" in "
            "the manual's postfix.md");
}

void LookAtLogs(const DoctorFacts& facts, DoctorReport* report) {
  const Json& status = facts.status;
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
    LookAtTimes(facts, source, report);
    if (!journal) LookAtWriters(facts, path, report);
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

void LookAtCharging(const Json& status, DoctorReport* report) {
  const Json charged = status.value("charged", Json::object());
  int64_t all = 0;
  std::vector<std::string> how;
  for (const auto& [kind, value] : charged.items()) {
    const int64_t count = Number(charged, kind.c_str());
    all += std::clamp<int64_t>(count, 0, std::numeric_limits<int64_t>::max() - all);
    if (kind != "nobody" && count > 0) how.push_back(absl::StrCat(kind, " ", count));
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
  if (Number(left_out, "unclear") > 0) {
    report->Warning(
        absl::StrCat(Number(left_out, "unclear"),
                     " attempts are charged to nobody: it is unclear whether a filter handed back "
                     "somebody else's mail, or its host sent it"),
        "let the filter pass on the client (XFORWARD, and its address in Postfix's "
        "smtpd_authorized_xforward_hosts), keep the Message-ID, or answer with the new id "
        "(\"queued as ID\"); or take its host out of [charge] relay_hosts");
  }
  if (!Flag(status, "hosted_list")) {
    report->Note("there is no list of the domains that are hosted here",
                 "name one as [charge] hosted, so that no other domain is ever blocked");
  }
}

// What the daemon itself found.
void LookAtBlindness(const Json& status, DoctorReport* report) {
  for (const Json& alarm : status.value("blind", Json::array())) {
    const std::string what = Field(alarm, "what");
    const std::string remedy = Field(alarm, "remedy");
    if (Field(alarm, "kind") == "smart_host") {
      report->Warning(what, remedy);
    } else {
      report->Problem(what, remedy);
    }
  }
}

void LookAtQuestions(const DoctorFacts& facts, DoctorReport* report) {
  const Json& status = facts.status;
  if (DoorsOf(status, "exim").empty() && DoorsOf(status, "postfix").empty()) {
    report->Problem("no mail server can ask: there is no [hook]", "name a socket under [hook]");
    return;
  }
  for (const char* name : {"exim", "postfix"}) {
    for (const std::string& door : DoorsOf(status, name)) {
      if (absl::StartsWith(door, "/")) continue;
      report->Warning(
          absl::StrCat("[hook] ", name, " = \"", door,
                       "\" is a TCP port: any local user can ask, and crowd out others"),
          "let it be a unix socket that the mail server's group may open");
    }
  }
  if (!facts.hook_problem.empty()) {
    report->Problem(absl::StrCat("a question got no answer: ", facts.hook_problem),
                    "is the socket's group that of the mail server, and for a chrooted Postfix "
                    "below /var/spool/postfix?");
  }
  const Json questions = status.value("questions", Json::object());
  if (Field(questions, "last").empty()) {
    report->Warning("no mail server has asked since deferd started",
                    "deferctl setup exim, or deferctl setup postfix");
  } else {
    report->Ok(absl::StrCat(Number(questions, "answered"), " questions were answered, the last at ",
                            ZonedTime(Field(questions, "last"))));
  }
}

// Orders that the mail server does not carry out.
void LookAtOrders(const Json& queue, DoctorReport* report) {
  for (const Json& one : queue.value("not_done", Json::array())) {
    if (Number(one, "times") < kStubborn) continue;
    report->Warning(
        absl::StrCat("the mail server was told ", Number(one, "times"), " times to ",
                     Field(one, "order"), " ", Field(one, "id"),
                     ", and has not: ", Field(one, "why")),
        "deferd goes on; if it lasts, look at the process that is at work on the message");
  }
}

// What is held for a block, by deferd-queue.
std::string SharedRemedy(const std::string& trouble) {
  if (trouble == "tls") return "the [shared] tls_ keys: see \"TLS\" in sharing.md of the manual";
  if (trouble == "password") {
    return "the user of [shared] redis, its password, and its commands in Redis' ACL: "
           "deploy/redis/deferd.conf lists them";
  }
  if (trouble == "claimed") return "give each deferd a state_dir and a [shared] node of its own";
  return "check Redis and the network; local counts decide until then";
}

void LookAtShared(const Json& status, DoctorReport* report) {
  const Json shared = status.value("shared", Json());
  if (!shared.is_object()) return;
  const std::string redis = Field(shared, "redis");
  const std::string problem = Field(shared, "problem");
  if (problem.empty()) {
    report->Ok(absl::StrCat("shared through ", redis));
  } else {
    report->Problem(absl::StrCat("not shared through ", redis, ": ", problem),
                    SharedRemedy(Field(shared, "trouble")));
  }
}

void LookAtQueue(const Json& status, DoctorReport* report) {
  const auto queue = status.find("queue");
  if (queue == status.end() || !queue->is_object()) {
    report->Note(
        "deferd does not see the mail queue: what is queued of a blocked sender goes out, and what "
        "a mail server holds is released by nobody",
        "install and start deferd-queue; then deferctl setup exim, or postfix, names its socket");
    return;
  }
  const std::string problem = Field(*queue, "problem");
  if (!problem.empty()) {
    report->Problem(
        absl::StrCat("the mail queue cannot be seen: ", problem),
        "systemctl status deferd-queue; queued mail is neither held nor released until it answers");
    return;
  }
  report->Ok(absl::StrCat(Number(*queue, "messages"), " messages are held"));
  LookAtOrders(*queue, report);
  for (const Json& one : queue->value("held", Json::array())) {
    const std::string subject = Field(one, "subject");
    if (Number(one, "overdue") > 0) {
      report->Problem(
          absl::StrCat(Number(one, "overdue"), " messages of ",
                       subject.empty() ? "nobody known" : subject,
                       " are held for longer than hold_max and not given back: their sender is not "
                       "of this server (that would be backscatter), or it is not sure enough what "
                       "the answers that blocked it mean"),
          subject.empty() ? "deferctl queue --held; release or discard them"
                          : absl::StrCat("look at deferctl queue ", subject,
                                         " --held; then queue release or queue discard ", subject));
    }
    if (Field(one, "waits_for").empty()) continue;
    report->Warning(absl::StrCat(Number(one, "messages"), " messages of ",
                                 subject.empty() ? "nobody known" : subject,
                                 " wait for a person: ", Field(one, "waits_for")),
                    subject.empty()
                        ? "deferctl queue --held; deferctl queue requeue ID"
                        : absl::StrCat("deferctl queue release ", subject, ", or discard"));
  }
}

// A smarthost takes everything, and what becomes of it later is in its own log.
void LookAtHosts(const Json& attempts, DoctorReport* report) {
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

void LookAtApi(const DoctorFacts& facts, DoctorReport* report) {
  const std::string problem = Field(facts.status.value("api", Json(nullptr)), "problem");
  if (problem.empty()) return;
  report->Problem("the HTTP API and the console refuse everybody: no token can be checked",
                  problem);
}

void LookAtPolicy(const DoctorFacts& facts, DoctorReport* report) {
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

}  // namespace

std::vector<std::string> DoorsOf(const Json& status, absl::string_view name) {
  std::vector<std::string> doors;
  const Json listening =
      status.is_object() ? status.value("listening", Json::object()) : Json::object();
  if (!listening.is_object()) return doors;
  // "exim", "exim_2" ...
  for (const auto& [door, address] : listening.items()) {
    if ((door == name || absl::StartsWith(door, absl::StrCat(name, "_"))) && address.is_string()) {
      doors.emplace_back(absl::StripPrefix(address.get_ref<const std::string&>(), "unix:"));
    }
  }
  return doors;
}

Json Diagnose(const DoctorFacts& facts) {
  DoctorReport report;
  LookAtMta(facts, &report);
  LookAtExim(facts, &report);
  LookAtPostfix(facts, &report);
  LookAtSenderTable(facts, &report);
  LookAtOtherLimiters(facts, &report);
  if (!facts.unreachable.empty()) {
    report.Problem(absl::StrCat("deferd does not answer: ", facts.unreachable),
                   "start it (systemctl start deferd), or name its socket with --socket");
    return report.Take();
  }
  LookAtLogs(facts, &report);
  LookAtCharging(facts.status, &report);
  LookAtBlindness(facts.status, &report);
  LookAtQuestions(facts, &report);
  LookAtQueue(facts.status, &report);
  LookAtShared(facts.status, &report);
  const Json blind = facts.status.value("blind", Json::array());
  const bool said = std::any_of(blind.begin(), blind.end(), [](const Json& alarm) {
    return Field(alarm, "kind") == "smart_host";
  });
  if (!said) LookAtHosts(facts.attempts, &report);
  LookAtPolicy(facts, &report);
  LookAtApi(facts, &report);
  const Json store = facts.status.value("store", Json::object());
  if (!Field(store, "problem").empty()) {
    report.Problem(absl::StrCat("counts cannot be saved: ", Field(store, "problem")),
                   "make room on the disk; deferd saves all of it by itself then");
  }
  const Json& notices = At(facts.status, "notices");
  if (const int64_t dead = Number(notices, "dead"); dead > 0) {
    report.Warning(absl::StrCat(dead, dead == 1 ? " notice was" : " notices were",
                                " given up: nobody has heard of it"),
                   "see why with deferctl notice list, then: deferctl notice retry");
  }
  if (const int64_t pending = Number(notices, "pending"); pending > 20) {
    report.Note(absl::StrCat(pending, " notices wait to be sent"), "deferctl notice list");
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
