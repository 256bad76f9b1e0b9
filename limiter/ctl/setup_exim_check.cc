// Whether Exim takes a changed configuration, and is well with it.

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "limiter/ctl/setup_exim.h"
#include "limiter/ctl/setup_rehearsal.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr char kUpdate[] = "/usr/sbin/update-exim4.conf";
constexpr int kPolls = 50;  // of 100 ms, for a daemon that reads its configuration again

// A process that has ended may wait for its parent still.
bool Runs(int pid) {
  if (pid <= 1 || kill(pid, 0) != 0) return false;
  const std::string stat = FileText(absl::StrCat("/proc/", pid, "/stat")).value_or("");
  return !absl::StrContains(stat.substr(std::min(stat.size(), stat.rfind(')'))), " Z ");
}

// The inodes of the TCP sockets on which a process listens: others, once Exim has read its
// configuration again.
std::set<std::string> ListeningSockets(int pid) {
  const std::string process = absl::StrCat("/proc/", pid);
  std::set<std::string> listening, own;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    for (absl::string_view line : absl::StrSplit(FileText(process + table).value_or(""), '\n')) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.size() > 9 && words[3] == "0A") listening.insert(words[9]);
    }
  }
  std::error_code ended;
  std::filesystem::directory_iterator file(process + "/fd", ended);
  for (; !ended && file != std::filesystem::directory_iterator(); file.increment(ended)) {
    std::error_code closed;
    const std::string to = std::filesystem::read_symlink(file->path(), closed).string();
    absl::string_view inode = to;
    if (absl::ConsumePrefix(&inode, "socket:[") && absl::ConsumeSuffix(&inode, "]") &&
        listening.contains(std::string(inode))) {
      own.emplace(inode);
    }
  }
  return own;
}

}  // namespace

std::vector<std::string> StartOfDaemon(const std::string& program, absl::string_view cmdline,
                                       absl::string_view cgroup, bool systemd) {
  if (systemd) {
    // "0::/system.slice/exim4.service"
    absl::string_view unit = absl::StripAsciiWhitespace(cgroup);
    unit.remove_prefix(unit.rfind('/') + 1);
    if (absl::EndsWith(unit, ".service")) {
      return {"/usr/bin/systemctl", "restart", std::string(unit)};
    }
  }
  std::vector<std::string> command = absl::StrSplit(cmdline, '\0', absl::SkipEmpty());
  if (command.empty()) return {};
  command[0] = program;
  // It may have been in the foreground of whoever started it.
  for (std::string& word : command) {
    if (word == "-bdf") word = "-bd";
  }
  return command;
}

absl::Status EximSetup::Check(const SetupPlan& plan) {
  for (const FileEdit& edit : plan.edits) {
    if (!absl::EndsWith(edit.path, "/deferd.filter") || !edit.after.has_value()) continue;
    if (absl::Status valid = machine_->Run(Exim({"-bF", edit.path})); !valid.ok()) return valid;
  }
  if (!found_.debian()) return machine_->Run(Exim({"-bV"}));
  const std::string generated = absl::StrCat("/run/deferd-setup.", getpid(), ".conf");
  absl::Status status = machine_->Run({kUpdate, "-o", generated});
  if (status.ok()) status = machine_->Run({found_.program, "-C", generated, "-bV"});
  unlink(generated.c_str());
  return status;
}

absl::Status EximSetup::CheckCopy(const SetupPlan& plan) {
  // A plain file may lie in /etc, which is not copied for it.
  absl::StatusOr<SetupRehearsal> copy =
      SetupRehearsal::Make(found_.debian() ? found_.folder : "", plan);
  if (!copy.ok()) return copy.status();
  for (const FileEdit& edit : plan.edits) {
    if (!absl::EndsWith(edit.path, "/deferd.filter") || !edit.after.has_value()) continue;
    absl::Status valid = machine_->Run(Exim({"-bF", copy->Path(edit.path)}));
    if (!valid.ok()) return valid;
  }
  // What is included leads to copies too.
  const std::vector<std::string> files = Files();
  const auto to_copies = [&](absl::string_view text) {
    std::vector<std::string> lines = absl::StrSplit(text, '\n');
    for (std::string& line : lines) {
      const std::string path = Included(line);
      if (path.empty()) continue;
      const absl::string_view word = absl::StripLeadingAsciiWhitespace(line);
      line = absl::StrCat(word.substr(0, word.find_first_of(" \t")), " ", copy->Path(path));
    }
    return absl::StrJoin(lines, "\n");
  };
  SetupPlan whole = plan;
  for (const std::string& path : files) {
    FileEdit* edit = whole.Edit(path);
    if (edit->after.has_value()) edit->after = to_copies(*edit->after);
  }
  if (absl::Status made = copy->Change(whole); !made.ok()) return made;
  std::string config = copy->Path(found_.config);
  if (found_.debian()) {
    config = copy->folder() + "/deferd-setup.generated";
    absl::Status status = machine_->Run({kUpdate, "-d", copy->folder(), "-o", config});
    if (!status.ok()) return status;
  }
  absl::Status valid = machine_->Run({found_.program, "-C", config, "-bV"});
  if (!valid.ok() || !asks_ || !plan.changes()) return valid;
  if (!absl::StrContains(machine_->Output({found_.program, "-C", config, "-bP", "config"}),
                         socket_)) {
    return absl::FailedPreconditionError(
        "the lines would be in a part that .ifdef leaves out; put the snippet in by hand (see the "
        "manual, \"Exim\")");
  }
  return absl::OkStatus();
}

absl::Status EximSetup::Rehearse(const SetupPlan& plan) {
  absl::Status changed = CheckCopy(plan);
  // Where even an unchanged copy is not taken, it cannot be rehearsed.
  return changed.ok() || !CheckCopy({}).ok() ? absl::OkStatus() : changed;
}

int EximSetup::DaemonPid() const {
  int pid = 0;
  const std::string text = FileText(found_.pid_file).value_or("");
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &pid) || pid <= 1) return 0;
  return Runs(pid) ? pid : 0;
}

void EximSetup::FindDaemon() {
  pid_before_ = DaemonPid();
  if (pid_before_ == 0) return;
  const std::string process = absl::StrCat("/proc/", pid_before_);
  started_by_ = StartOfDaemon(found_.program, FileText(process + "/cmdline").value_or(""),
                              FileText(process + "/cgroup").value_or(""),
                              access("/run/systemd/system", F_OK) == 0);
}

absl::Status EximSetup::StartDaemon() {
  if (started_by_.empty()) {
    return absl::UnavailableError("Exim's daemon has ended; how it was started is not known");
  }
  if (absl::Status started = machine_->Run(started_by_); !started.ok()) return started;
  for (int i = 0; i < kPolls && DaemonPid() == 0; ++i) absl::SleepFor(absl::Milliseconds(100));
  if (const int pid = DaemonPid(); pid != 0) pid_before_ = pid;
  return absl::OkStatus();
}

absl::Status EximSetup::Activate() {
  if (found_.debian()) {
    if (absl::Status updated = machine_->Run({kUpdate}); !updated.ok()) return updated;
  }
  if (pid_before_ == 0) return absl::OkStatus();
  sockets_before_ = ListeningSockets(pid_before_);
  if (DaemonPid() == 0 && !Runs(pid_before_)) return StartDaemon();
  if (kill(pid_before_, SIGHUP) != 0) {
    return absl::UnavailableError(absl::StrCat("Exim's daemon, process ", pid_before_,
                                               ", cannot be told to read its configuration again"));
  }
  return absl::OkStatus();
}

// What Exim answers to a client of this host, without accepting anything.
std::string EximSetup::Session() {
  return machine_->Output(Exim({"-bh", "127.0.0.1"}),
                          "EHLO setup.deferd.example\r\nMAIL FROM:<>\r\nQUIT\r\n");
}

bool EximSetup::Accepts() {
  const std::string session = Session();
  const std::vector<std::string> lines = absl::StrSplit(session, '\n');
  // 250 OK of MAIL, the last answer before the 221.
  return std::any_of(lines.begin(), lines.end(),
                     [](absl::string_view line) { return absl::StartsWith(line, "250 OK"); });
}

void EximSetup::LookBefore() { accepts_before_ = Accepts(); }

// The daemon runs itself again on SIGHUP, with the same process number; it ends on what no checker
// reads.
absl::Status EximSetup::DaemonIsWell() {
  if (pid_before_ == 0) return absl::OkStatus();
  // One that listens to nobody, and runs the queue only, shows no more than that it goes on.
  const int polls = sockets_before_.empty() ? kPolls / 5 : kPolls;
  for (int i = 0; i < polls; ++i) {
    const int pid = DaemonPid();
    if (pid == 0 && !Runs(pid_before_)) break;
    const std::set<std::string> sockets = ListeningSockets(pid);
    if (pid != 0 && !sockets.empty() && sockets != sockets_before_) return absl::OkStatus();
    absl::SleepFor(absl::Milliseconds(100));
  }
  if (DaemonPid() == 0) return absl::UnavailableError("Exim's daemon has ended");
  return absl::OkStatus();
}

absl::Status EximSetup::IsWell() {
  // First, so that it is known whether the daemon has to be started again.
  if (absl::Status well = DaemonIsWell(); !well.ok()) return well;
  if (absl::Status valid = machine_->Run(Exim({"-bV"})); !valid.ok()) return valid;
  if (!accepts_before_ || Accepts()) return absl::OkStatus();
  const std::string session = Session();
  return absl::UnavailableError(
      absl::StrCat("Exim does not accept MAIL FROM:<> from 127.0.0.1 any more: ",
                   PrintableUtf8(absl::StripAsciiWhitespace(session).substr(0, 300))));
}

}  // namespace deferd
