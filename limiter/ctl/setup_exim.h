// How `deferctl setup exim` finds Exim and what it changes: Debian's configuration (split or in one
// file) and a plain exim.conf.

#ifndef DEFERD_LIMITER_CTL_SETUP_EXIM_H_
#define DEFERD_LIMITER_CTL_SETUP_EXIM_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/ctl/setup_blocks.h"
#include "limiter/ctl/setup_machine.h"

namespace deferd {

// An Exim as it was found.
struct EximFound {
  std::string program;
  std::string given_config;  // named by the caller; empty: the program's own
  std::string config;        // the file that runs
  enum class Layout { kPlain, kDebianOneFile, kDebianSplit } layout = Layout::kPlain;
  std::string folder;  // /etc/exim4, or that of the plain file
  // Options of the running configuration, after Exim's own macros.
  std::string mail_acl, not_smtp_acl, system_filter, pid_file, log_path;
  bool syslog = false;
  std::vector<std::string> local_domains;  // names and files
  std::vector<std::string> notes;

  bool debian() const { return layout != Layout::kPlain; }
};

// Where the configuration's text is: path and text of each file that may hold an ACL's label or the
// main options; the first is the one that gets main options.
using EximTexts = std::vector<std::pair<std::string, std::string>>;

// The lines of deploy/exim/ask.conf. Without deferd-queue nobody moves mail out of the queue
// deferd-held, so a held message is deferred instead: its client keeps it.
std::string EximAskLines(bool helper);

// The command that starts a daemon again which ran as `cmdline` (NUL after each word) in `cgroup`
// (proc(5)): its systemd unit's, or its own. Empty: not known.
std::vector<std::string> StartOfDaemon(const std::string& program, absl::string_view cmdline,
                                       absl::string_view cgroup, bool systemd);

class EximSetup {
 public:
  EximSetup(SetupMachine* machine, std::string config)
      : machine_(machine), given_(std::move(config)) {}

  // NotFound: there is no Exim here, or its configuration is another program's to write.
  absl::Status Find();
  const EximFound& found() const { return found_; }

  // `door`: deferd's address for Exim, as in deferd.toml. `helper`: deferd-queue is there, so that
  // held mail is released again.
  absl::Status Plan(absl::string_view door, bool helper, SetupPlan* plan);
  absl::Status PlanUndo(SetupPlan* plan);
  // What an earlier Plan wired works without deferd-queue; nothing where setup wired nothing.
  absl::Status PlanWithoutHelper(absl::string_view door, SetupPlan* plan);

  // The configuration would be valid with the plan's changes, as a copy of it shows.
  absl::Status Rehearse(const SetupPlan& plan);
  // The configuration that is written now is valid, as Exim's own checkers see it.
  absl::Status Check(const SetupPlan& plan);
  // Puts it in force: update-exim4.conf, SIGHUP to the daemon that ran; if it has ended since, it
  // is started again as it was.
  absl::Status Activate();
  // Before anything is written: whether Exim answers MAIL with 250.
  void LookBefore();
  // Exim still answers MAIL with 250 if it did, and the daemon that ran still runs.
  absl::Status IsWell();

  std::string HeldMail();

 private:
  std::vector<std::string> Exim(std::vector<std::string> arguments) const;
  std::string Option(const std::string& name);
  std::vector<std::string> OwnFiles() const;
  std::string Included(absl::string_view line) const;
  std::vector<std::string> Files();
  bool HasSection(const std::string& path, int depth) const;
  int EndOfMain(const BlockText& file) const;
  absl::Status PlanAcl(const std::string& acl, absl::string_view name, const std::string& text,
                       SetupPlan* plan, bool* done);
  bool PlanOwnFile(absl::string_view section, absl::string_view name, const std::string& text,
                   SetupPlan* plan);
  void PlanMain(absl::string_view name, const std::string& text, SetupPlan* plan);
  void PlanNewAcl(absl::string_view name, const std::string& text, SetupPlan* plan);
  absl::Status CheckCopy(const SetupPlan& plan);
  std::string Session();
  bool Accepts();
  int DaemonPid() const;
  void FindDaemon();
  absl::Status StartDaemon();
  absl::Status DaemonIsWell();

  SetupMachine* const machine_;
  const std::string given_;
  EximFound found_;
  std::string socket_;                         // where the planned lines ask
  bool asks_ = false;                          // the plan has such lines
  std::map<std::string, std::string> macros_;  // of the files, for the names of included ones
  int pid_before_ = 0;
  std::vector<std::string> started_by_;   // the command that starts that daemon
  std::set<std::string> sockets_before_;  // on which it listened before the last Activate
  bool accepts_before_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_EXIM_H_
