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

#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// What is known. Json(nullptr): not known.
struct DoctorFacts {
  absl::Time now;
  std::string unreachable;           // why the daemon does not answer; empty: it does
  Json status;                       // of the daemon
  Json blocks;                       // likewise
  Json attempts;                     // the newest that were tracked
  std::string hook_problem;          // what a question on the MTA's own door met; empty: an answer
  std::vector<std::string> mtas;     // that are installed: "Exim", "Postfix"
  std::string exim_config;           // Exim's running configuration; empty: not known
  std::string postfix_restrictions;  // as Postfix has them in force; empty: not known
  std::string postfix_default_action;       // smtpd_policy_service_default_action
  std::string postfix_queue;                // its queue directory
  std::string postfix_senders;              // sender_dependent_default_transport_maps
  std::vector<std::string> missing_tables;  // of those, that are not there
  std::string postfix_filter;               // content_filter and smtpd_proxy_filter
  std::string postfix_master;               // the services of master.cf, as postconf -M
  std::string postfix_main;                 // all of main.cf, as postconf
  bool panel_limiter = false;               // a hosting panel's own limiter keeps its records here
  std::vector<std::string> other_limits;    // files that other limiters are set up with
  std::map<std::string, absl::Time> written;  // when each followed log was last written to
  std::map<std::string, std::string> owners;  // the user that each followed file belongs to
  bool anybody_logs = false;                  // every local user may write to syslog's socket
  bool journal = false;                       // systemd's journal is kept here
  bool rsyslog_checks = false;                // rsyslog is set up to look at whose lines are whose

  // A unix socket that a mail server asks at.
  struct Door {
    std::string path;
    int mode = 0;
    std::string group;
    std::string mta_group;  // the one that the mail server runs with
  };
  std::vector<Door> doors;
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

DoctorFacts Gather(const std::string& socket, absl::Time now);

// The findings, in a fixed order.
Json Diagnose(const DoctorFacts& facts);

std::string DoctorPage(const Json& findings);  // at 80 columns

// 1 if there is a problem, else 0.
int DoctorExit(const Json& findings);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_DOCTOR_H_
