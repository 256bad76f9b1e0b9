// `deferctl doctor`: what stands between this server and counts that can be trusted, each finding
// with its remedy.
//
// Diagnose is pure: it looks at what was gathered, so every finding is a test. Gather asks the
// daemon and looks at the machine; what it cannot learn it leaves out.

#ifndef DEFERD_LIMITER_CTL_DOCTOR_H_
#define DEFERD_LIMITER_CTL_DOCTOR_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/ctl/exim_acl.h"
#include "limiter/ctl/socket_access.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// What is known. Json(nullptr): not known.
struct DoctorFacts {
  absl::Time now;
  std::string unreachable;        // why the daemon does not answer; empty: it does
  Json status;                    // of the daemon
  Json blocks;                    // likewise
  Json attempts;                  // the newest that were tracked
  std::string hook_problem;       // what a question on the MTA's own door met; empty: an answer
  std::vector<std::string> mtas;  // that are installed: "Exim", "Postfix"
  // Of several instances, `name` tells which: the configuration's path. `problem`: why the
  // configuration is not known.
  struct Exim {
    std::string name;
    std::string problem;
    EximConfig config;
    MailUser user;
  };
  struct Postfix {
    std::string name;
    std::string problem;
    std::string restrictions;                 // of smtpd, as they are in force
    std::string default_action;               // smtpd_policy_service_default_action
    std::string queue;                        // its queue directory
    std::string senders;                      // sender_dependent_default_transport_maps
    std::vector<std::string> missing_tables;  // of those, that are not there
    std::string filter;                       // content_filter and smtpd_proxy_filter
    std::string master;                       // the services of master.cf, as postconf -M
    std::string main;                         // all of main.cf, as postconf
    MailUser user;                            // mail_owner
  };
  std::vector<Exim> exims;
  std::vector<Postfix> postfixes;
  std::vector<std::string> switched_off;  // Postfix instances with multi_instance_enable = no
  bool panel_limiter = false;             // a hosting panel's own limiter keeps its records here
  std::vector<std::string> other_limits;  // files that other limiters are set up with
  std::map<std::string, absl::Time> written;  // when each followed log was last written to
  std::map<std::string, std::string> owners;  // the user that each followed file belongs to
  bool anybody_logs = false;                  // every local user may write to syslog's socket
  bool journal = false;                       // systemd's journal is kept here
  bool rsyslog_checks = false;                // rsyslog is set up to look at whose lines are whose

  // The way to each door that is a unix socket, by its path.
  std::map<std::string, std::vector<PathStep>> doors;
};

// Which programs and configurations to look at; empty: those that are installed, and of Exim those
// that run.
struct DoctorOptions {
  std::string socket;                        // deferd's
  std::string exim;                          // a program
  std::vector<std::string> exim_configs;     // files, for its -C
  std::string postfix;                       // the folder of postconf
  std::vector<std::string> postfix_configs;  // folders of main.cf
};

// Collects findings: [{level: "ok" | "note" | "warning" | "problem", what, remedy}].
class DoctorReport {
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

DoctorFacts Gather(const DoctorOptions& options, absl::Time now);

// Where deferd listens for "exim" or "postfix": paths, or HOST:PORT.
std::vector<std::string> DoorsOf(const Json& status, absl::string_view name);

// The findings, in a fixed order.
Json Diagnose(const DoctorFacts& facts);

std::string DoctorPage(const Json& findings);  // at 80 columns

// 1 if there is a problem, else 0.
int DoctorExit(const Json& findings);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_DOCTOR_H_
