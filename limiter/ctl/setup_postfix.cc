#include "limiter/ctl/setup_postfix.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "limiter/ctl/setup_blocks.h"
#include "limiter/ctl/setup_rehearsal.h"
#include "limiter/ctl/setup_snippets.h"
#include "limiter/ctl/smtp_probe.h"
#include "policy/domain_name.h"

namespace deferd {

namespace {

constexpr char kPostfix[] = "/usr/sbin/postfix";
constexpr char kPostconf[] = "/usr/sbin/postconf";
constexpr char kPostmulti[] = "/usr/sbin/postmulti";
constexpr char kPostqueue[] = "/usr/sbin/postqueue";
constexpr absl::string_view kSenders = "hash:/var/lib/deferd-queue/senders";
constexpr absl::string_view kAskPostfix = "smtpd_data_restrictions";
constexpr absl::string_view kMaps = "sender_dependent_default_transport_maps";
// Every Postfix accepts it from its own host; the name alone would skip the restrictions.
constexpr char kRecipient[] = "postmaster@[127.0.0.1]";
constexpr int kSmtpPort = 25;
constexpr int kProbes = 3;
constexpr absl::Duration kProbePatience = absl::Seconds(10);
constexpr int kPostfixPolls = 50;  // of 100 ms, for a master that reads its configuration again

std::string Trimmed(absl::string_view text) {
  return std::string(absl::StripAsciiWhitespace(text));
}

// What is not a comment of a snippet.
std::string WithoutComments(absl::string_view snippet) {
  std::string text;
  for (absl::string_view line : absl::StrSplit(snippet, '\n')) {
    if (!absl::StartsWith(line, "#") && !line.empty()) absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace

std::string PostfixSetup::Value(const std::string& config, const std::string& name) {
  return Trimmed(machine_->Output({kPostconf, "-c", config, "-x", "-h", name}));
}

absl::Status PostfixSetup::Find() {
  if (access(kPostfix, X_OK) != 0) return absl::NotFoundError("Postfix is not installed here");
  std::vector<std::string> folders;
  if (!given_.empty()) {
    folders = {given_};
  } else {
    // "name group enabled folder" a line, the default instance first.
    for (absl::string_view line : absl::StrSplit(machine_->Output({kPostmulti, "-l"}), '\n')) {
      const std::vector<std::string> words =
          absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (words.size() == 4 && (folders.empty() || words[2] == "y")) folders.push_back(words[3]);
    }
    if (folders.empty()) {
      folders = {Trimmed(machine_->Output({kPostconf, "-h", "config_directory"}))};
    }
  }
  for (const std::string& folder : folders) {
    PostfixFound one;
    one.config = folder;
    one.queue_directory = Value(folder, "queue_directory");
    if (one.queue_directory.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(folder, "/main.cf: Postfix cannot read it: ",
                       machine_->Run({kPostconf, "-c", folder, "queue_directory"}).message()));
    }
    one.data_restrictions = Value(folder, std::string(kAskPostfix));
    one.sender_maps = Value(folder, std::string(kMaps));
    one.maillog_file = Value(folder, "maillog_file");
    one.runs = machine_->Run({kPostfix, "-c", folder, "status"}).ok();
    for (absl::string_view line :
         absl::StrSplit(machine_->Output({kPostconf, "-c", folder, "-F", "*/*/chroot"}), '\n')) {
      // smtp/inet/chroot = y
      if (absl::StrContains(line, "/inet/chroot") && absl::EndsWith(line, "= y")) one.chroot = true;
    }
    for (absl::string_view line :
         absl::StrSplit(machine_->Output({kPostconf, "-c", folder, "-P"}), '\n')) {
      if (absl::StrContains(line, absl::StrCat("/", kAskPostfix, " "))) {
        one.overriding.push_back(std::string(line.substr(0, line.find('/'))));
      }
    }
    found_.push_back(std::move(one));
  }
  return absl::OkStatus();
}

std::vector<std::string> PostfixSetup::LocalDomains() {
  std::vector<std::string> items;
  for (const PostfixFound& one : found_) {
    for (const char* name : {"mydestination", "virtual_mailbox_domains"}) {
      for (absl::string_view item :
           absl::StrSplit(Value(one.config, name), absl::ByAnyChar(", \t\n"), absl::SkipEmpty())) {
        const std::string text(item);
        bool add = absl::StartsWith(item, "/");
        for (absl::string_view table : {"hash:", "btree:", "texthash:", "lmdb:"}) {
          add = add || absl::StartsWith(item, absl::StrCat(table, "/"));
        }
        const absl::StatusOr<DomainName> domain = DomainName::Parse(text);
        add = add || (domain.ok() && domain->text() == text && absl::StrContains(text, '.'));
        if (absl::StartsWith(item, "/") && access(text.c_str(), R_OK) != 0) add = false;
        if (add && std::find(items.begin(), items.end(), text) == items.end())
          items.push_back(text);
      }
    }
  }
  return items;
}

std::vector<std::string> PostfixSetup::Notes() {
  std::vector<std::string> notes;
  for (const PostfixFound& one : found_) {
    const std::string relay = Value(one.config, "relayhost");
    if (!relay.empty()) {
      notes.push_back(absl::StrCat(one.config, ": mail leaves through ", relay,
                                   ": what it cannot deliver later comes back as a bounce message, "
                                   "which deferd does not count"));
    }
    for (const char* filter : {"content_filter", "smtpd_proxy_filter"}) {
      const std::string value = Value(one.config, filter);
      if (value.empty()) continue;
      notes.push_back(absl::StrCat(one.config, ": ", filter, " = ", value,
                                   ": see the manual, \"A filter at a relay host\""));
    }
  }
  return notes;
}

// `first` in front of what the parameter has already. The line of its name is replaced, its
// continuation stays; without one, a new line at the end.
absl::Status PostfixSetup::PlanMain(const PostfixFound& one, absl::string_view name,
                                    absl::string_view key, const std::string& first,
                                    SetupPlan* plan) {
  FileEdit* edit = plan->Edit(one.config + "/main.cf");
  if (!edit->after.has_value()) {
    return absl::NotFoundError(absl::StrCat(edit->path, ": cannot be read; run this as root"));
  }
  BlockText file(*edit->after);
  int last = -1;  // of several lines, Postfix takes the last
  for (int i = 0; i < file.size(); ++i) {
    absl::string_view line = file.line(i);
    if (absl::ConsumePrefix(&line, key) &&
        absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "=")) {
      last = i;
    }
  }
  if (last < 0) {
    file.Insert(file.size(), name, absl::StrCat(key, " =\n    ", first, "\n"));
  } else {
    const std::string& line = file.line(last);
    const std::string rest = Trimmed(line.substr(line.find('=') + 1));
    // Whether the parameter has a value here or in the lines that continue it.
    bool more = !rest.empty();
    for (int i = last + 1; i < file.size() && !more; ++i) {
      const std::string& next = file.line(i);
      const absl::string_view text = absl::StripAsciiWhitespace(next);
      if (text.empty() || text[0] == '#') continue;
      if (next[0] != ' ' && next[0] != '\t') break;
      more = true;
    }
    std::string text = absl::StrCat(key, " =\n    ", first, more ? ",\n" : "\n");
    if (!rest.empty()) absl::StrAppend(&text, "    ", rest, "\n");
    file.Insert(last, name, text, 1);
  }
  edit->after = file.Text();
  return absl::OkStatus();
}

absl::Status PostfixSetup::Plan(const std::vector<std::string>& doors, bool held, SetupPlan* plan) {
  if (doors.empty()) {
    return absl::FailedPreconditionError(
        "deferd.toml has no [hook] postfix, where Postfix would ask");
  }
  absl::Status undone = PlanUndo({}, plan);
  if (!undone.ok()) return undone;
  for (const PostfixFound& one : found_) {
    const auto own = std::find_if(doors.begin(), doors.end(), [&](const std::string& door) {
      return absl::StartsWith(door, absl::StrCat("unix:", one.queue_directory, "/"));
    });
    const std::string& door = own == doors.end() ? doors.front() : *own;
    std::string address;
    absl::string_view path = door;
    if (!absl::ConsumePrefix(&path, "unix:")) {
      address = absl::StrCat("inet:", door);
    } else if (absl::StartsWith(path, one.queue_directory + "/")) {
      // Relative: so it is found with and without chroot.
      address = absl::StrCat("unix:", path.substr(one.queue_directory.size() + 1));
    } else if (!one.chroot) {
      address = absl::StrCat("unix:", path);
    } else {
      plan->notes.push_back(absl::StrCat(
          one.config, ": its smtpd is chrooted to ", one.queue_directory, ", where it cannot see ",
          path, ": this instance does not ask. Give [hook] postfix an address on 127.0.0.1, which ",
          "all instances reach, and run this again"));
      continue;
    }
    const std::string ask = absl::StrCat("check_policy_service { ", address,
                                         ", timeout=2s, try_limit=1, default_action=DUNNO }");
    // By our own block of before, or by hand?
    const FileEdit* edit = plan->Edit(one.config + "/main.cf");
    const std::string left = edit->after.value_or("");
    bool by_hand = false;
    for (absl::string_view line : absl::StrSplit(left, '\n')) {
      by_hand = by_hand || (!absl::StartsWith(absl::StripAsciiWhitespace(line), "#") &&
                            absl::StrContains(line, absl::StripPrefix(address, "unix:")));
    }
    if (by_hand) {
      plan->notes.push_back(absl::StrCat(
          one.config, ": Postfix asks deferd already, by a line that ",
          "somebody put there: it stays; deferctl doctor says ", "whether it is right"));
    } else if (absl::Status status = PlanMain(one, "ask", kAskPostfix, ask, plan); !status.ok()) {
      return status;
    }
    for (const std::string& service : one.overriding) {
      plan->notes.push_back(absl::StrCat(
          one.config, "/master.cf: the service ", service, " has an -o ", kAskPostfix,
          " of its own and does not ask; put the check_policy_service in front of its value"));
    }
    if (!held || one.config != found_.front().config) continue;
    if (!absl::StrContains(left, kSenders)) {
      if (absl::Status status = PlanMain(one, "held", kMaps, std::string(kSenders), plan);
          !status.ok()) {
        return status;
      }
    }
    FileEdit* master = plan->Edit(one.config + "/master.cf");
    BlockText file(master->after.value_or(""));
    const bool has = file.Find([](absl::string_view line) {
      return absl::StartsWith(line, "deferd-held");
    }) >= 0;
    if (!has) {
      file.Insert(file.size(), "held", WithoutComments(PostfixHeldMasterSnippet()));
      master->after = file.Text();
    }
  }
  for (std::string& note : Notes()) plan->notes.push_back(std::move(note));
  return absl::OkStatus();
}

absl::Status PostfixSetup::PlanUndo(const std::vector<std::string>& names, SetupPlan* plan) {
  for (const PostfixFound& one : found_) {
    for (const char* name : {"/main.cf", "/master.cf"}) {
      const std::string path = one.config + name;
      const std::optional<std::string> text = FileText(path);
      if (!text.has_value() || !HasSetupBlock(*text, names)) continue;
      absl::StatusOr<std::string> without = WithoutSetupBlocks(path, *text, names);
      if (!without.ok()) return without.status();
      plan->Edit(path)->after = *std::move(without);
    }
  }
  return absl::OkStatus();
}

absl::Status PostfixSetup::CheckFolder(const std::string& config) {
  absl::Status status = machine_->Run({kPostfix, "-c", config, "check"});
  if (!status.ok()) return status;
  // What check does not read: a value that cannot be parsed ends smtpd, not this.
  status = machine_->Run({kPostconf, "-c", config, "-n"});
  if (!status.ok()) return status;
  return machine_->Run({kPostconf, "-c", config, "-M"});
}

absl::Status PostfixSetup::Check() {
  for (const PostfixFound& one : found_) {
    absl::Status status = CheckFolder(one.config);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status PostfixSetup::Rehearse(const SetupPlan& plan) {
  for (const PostfixFound& one : found_) {
    absl::StatusOr<SetupRehearsal> copy = SetupRehearsal::Make(one.config, plan);
    if (!copy.ok()) return copy.status();
    absl::Status changed = CheckFolder(copy->folder());
    if (changed.ok()) continue;
    // Where even an unchanged copy is not taken, it cannot be rehearsed.
    absl::StatusOr<SetupRehearsal> as_is = SetupRehearsal::Make(one.config, {});
    if (as_is.ok() && CheckFolder(as_is->folder()).ok()) return changed;
  }
  return absl::OkStatus();
}

absl::Status PostfixSetup::Activate() {
  for (const PostfixFound& one : found_) {
    if (!one.runs) continue;
    const std::vector<std::string> look = {kPostfix, "-c", one.config, "status"};
    // A value that Postfix cannot use ends its master; after that, it has to be started.
    const bool ended = !machine_->Run(look).ok();
    absl::Status status = machine_->Run({kPostfix, "-c", one.config, ended ? "start" : "reload"});
    // The default instance starts all, and reports those that run already.
    if (ended && machine_->Run(look).ok()) status = absl::OkStatus();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void PostfixSetup::LookBefore() {
  for (PostfixFound& one : found_) {
    for (absl::string_view line :
         absl::StrSplit(machine_->Output({kPostconf, "-c", one.config, "-M"}), '\n')) {
      // smtp inet n - y - - smtpd; or 127.0.0.1:10025
      const std::vector<absl::string_view> words =
          absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (one.port != 0 || words.size() < 8 || words[1] != "inet") continue;
      if (words[7] != "smtpd" && words[7] != "postscreen") continue;
      const absl::string_view service = words[0].substr(words[0].rfind(':') + 1);
      if (!absl::SimpleAtoi(service, &one.port)) one.port = service == "smtp" ? kSmtpPort : 0;
    }
    one.takes_mail =
        one.runs && one.port > 0 && ProbeSmtp(one.port, kRecipient, kProbePatience).ok();
  }
}

absl::Status PostfixSetup::IsWell() {
  for (const PostfixFound& one : found_) {
    if (!one.runs) continue;
    absl::Status status;
    for (int i = 0; i < kPostfixPolls; ++i) {
      status = machine_->Run({kPostfix, "-c", one.config, "status"});
      if (status.ok()) break;
      absl::SleepFor(absl::Milliseconds(100));
    }
    if (status.ok() && one.takes_mail) {
      // The processes of before may answer once more.
      for (int i = 0; i < kProbes; ++i) {
        status = ProbeSmtp(one.port, kRecipient, kProbePatience);
        if (status.ok()) break;
        absl::SleepFor(absl::Milliseconds(300));
      }
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string PostfixSetup::HeldMail() {
  std::string held;
  for (const PostfixFound& one : found_) {
    for (absl::string_view line :
         absl::StrSplit(machine_->Output({kPostqueue, "-c", one.config, "-j"}), '\n')) {
      if (absl::StrContains(line, "\"queue_name\": \"hold\"")) absl::StrAppend(&held, line, "\n");
    }
  }
  return held;
}

}  // namespace deferd
