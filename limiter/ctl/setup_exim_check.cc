// Whether Exim takes a changed configuration, and is well with it.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "limiter/ctl/setup_exim.h"
#include "limiter/ctl/setup_rehearsal.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr char kUpdate[] = "/usr/sbin/update-exim4.conf";
constexpr int kPolls = 50;  // of 100 ms, for a daemon that reads its configuration again

}  // namespace

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
  return kill(pid, 0) == 0 ? pid : 0;
}

absl::Status EximSetup::Activate() {
  if (found_.debian()) {
    if (absl::Status updated = machine_->Run({kUpdate}); !updated.ok()) return updated;
  }
  if (pid_before_ > 0 && kill(pid_before_, SIGHUP) != 0) {
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

absl::Status EximSetup::IsWell() {
  if (absl::Status valid = machine_->Run(Exim({"-bV"})); !valid.ok()) return valid;
  if (accepts_before_ && !Accepts()) {
    const std::string session = Session();
    return absl::UnavailableError(
        absl::StrCat("Exim does not accept MAIL FROM:<> from 127.0.0.1 any more: ",
                     PrintableUtf8(absl::StripAsciiWhitespace(session).substr(0, 300))));
  }
  if (pid_before_ == 0) return absl::OkStatus();
  // The daemon runs itself again on SIGHUP, with the same process number.
  for (int i = 0; i < kPolls && DaemonPid() == 0; ++i) absl::SleepFor(absl::Milliseconds(100));
  if (DaemonPid() == 0) return absl::UnavailableError("Exim's daemon has ended");
  return absl::OkStatus();
}

}  // namespace deferd
