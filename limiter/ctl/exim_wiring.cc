#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/mta_wiring.h"

namespace deferd {

namespace {

constexpr int kNesting = 10;  // of ACLs that call others
constexpr char kAskFile[] = "deploy/exim/ask.conf";
constexpr char kLocalFile[] = "deploy/exim/local.conf";

// The addresses that ${readsocket of `text` names.
std::vector<std::string> SocketsOf(absl::string_view text) {
  constexpr absl::string_view kWord = "${readsocket";
  std::vector<std::string> paths;
  for (size_t at = text.find(kWord); at != text.npos; at = text.find(kWord)) {
    text.remove_prefix(at + kWord.size());
    absl::string_view rest = absl::StripLeadingAsciiWhitespace(text);
    if (!absl::ConsumePrefix(&rest, "{")) continue;
    absl::string_view address = absl::StripAsciiWhitespace(rest.substr(0, rest.find('}')));
    absl::ConsumePrefix(&address, "inet:");
    paths.emplace_back(address);
  }
  return paths;
}

// Whether a question names who has logged in, in its field login=.
bool NamesLogin(absl::string_view question) {
  const size_t at = question.find("login=");
  if (at == question.npos) return false;
  question.remove_prefix(at);
  int depth = 0;
  for (size_t i = 0; i < question.size() && depth >= 0; ++i) {
    if (question[i] == '{') ++depth;
    if (question[i] == '}') --depth;
    const absl::string_view rest = question.substr(i);
    if (depth == 0 && absl::StartsWith(rest, "\\t")) break;
    if (absl::StartsWith(rest, "$auth")) return true;
  }
  return false;
}

// What an ACL does about deferd.
struct Found {
  bool asks = false;        // the question is reached
  bool local = false;       // and is about mail by sendmail(1) (deploy/exim/local.conf)
  bool no_login = false;    // and does not say who has logged in
  std::string door;         // where
  std::string only_where;   // under this condition alone
  std::string behind;       // it stands behind this, and is not
  std::string other;        // the socket of a question like ours that is none of deferd's
  std::string disregarded;  // the variable of an answer that no deny looks at
};

class Walk {
 public:
  Walk(const EximAcls& config, const std::vector<std::string>& doors)
      : config_(config), doors_(doors) {}

  Found Of(absl::string_view name) const { return Of(name, name, 0); }

 private:
  // `root`: the ACL that an option names, and that called this one.
  Found Of(absl::string_view name, absl::string_view root, int depth) const {
    Found found;
    const auto acl = config_.acls.find(name);
    if (acl == config_.acls.end() || depth > kNesting) return found;
    std::string ended;
    for (const EximStatement& statement : acl->second) {
      for (size_t i = 0; i < statement.items.size(); ++i) {
        Look(statement, i, ended, root, depth, &found);
      }
      if (ended.empty()) ended = EndsAclFor(statement);
    }
    return found;
  }

  void Look(const EximStatement& statement, size_t at, const std::string& ended,
            absl::string_view root, int depth, Found* found) const {
    const std::string& item = statement.items[at];
    if (ItemName(item) == "acl") {
      const absl::string_view value = ItemValue(item);
      const Found called = Of(value.substr(0, value.find_first_of(" \t")), root, depth + 1);
      if (called.asks && ended.empty()) {
        *found = called;
      } else if (called.asks) {
        found->behind = ended;
      }
      if (found->behind.empty()) found->behind = called.behind;
      if (found->other.empty()) found->other = called.other;
      return;
    }
    for (const std::string& path : SocketsOf(item)) {
      if (!IsOneOf(path, doors_)) {
        // Ours by the form of the question.
        if (absl::StrContains(item, "check\\t") || absl::StrContains(path, "deferd")) {
          found->other = path;
        }
      } else if (!ended.empty()) {
        found->behind = ended;
      } else {
        found->asks = true;
        found->door = path;
        found->local = absl::StrContains(item, "source=local\\t");
        found->no_login = !found->local && !NamesLogin(item);
        found->only_where = Condition(statement, at);
        if (statement.verb == "warn" && ItemName(item) == "set") LookForUse(item, root, found);
      }
    }
  }

  // What has to hold before the item at `at` of a statement is looked at; empty: nothing, for mail
  // with a login.
  static std::string Condition(const EximStatement& statement, size_t at) {
    for (size_t i = 0; i < at; ++i) {
      const std::string& item = statement.items[i];
      const absl::string_view name = ItemName(item);
      if (IsModifier(name)) continue;
      if (!absl::StartsWith(item, "!") && name == "authenticated") continue;
      const absl::string_view value = ItemValue(item);
      if (name == "condition" && (value == "true" || value == "yes" || value == "1")) continue;
      return item;
    }
    return "";
  }

  // Whether a verdict is carried out, in whichever ACL the variable lives to see.
  void LookForUse(absl::string_view item, absl::string_view root, Found* found) const {
    const auto option = config_.options.find("acl_not_smtp");
    const absl::string_view local =
        option == config_.options.end() ? "" : absl::string_view(option->second);
    absl::string_view variable = absl::StripAsciiWhitespace(item.substr(0, item.find('=')));
    absl::ConsumePrefix(&variable, "set");
    variable = absl::StripLeadingAsciiWhitespace(variable);
    for (const auto& [name, acl] : config_.acls) {
      if ((name == local) != (root == local)) continue;
      for (const EximStatement& statement : acl) {
        if (statement.verb == "warn" || statement.verb == "accept") continue;
        for (const std::string& one : statement.items) {
          if (ItemName(one) == "condition" && absl::StrContains(one, variable)) return;
        }
      }
    }
    found->disregarded = std::string(variable);
  }

  const EximAcls& config_;
  const std::vector<std::string>& doors_;
};

// The report about one Exim, option by option.
class EximLook {
 public:
  EximLook(const EximConfig& config, const std::vector<std::string>& doors)
      : config_(config),
        acls_(ReadEximAcls(config)),
        doors_(doors),
        walk_(acls_, doors_),
        here_(absl::StrJoin(doors, " or ")) {}

  Wiring Report() {
    for (const auto& [option, acl] : acls_.options) LookAt(option, acl);
    if (!smtp_ && !said_ && !not_known_) ExplainNoQuestion();
    return std::move(wiring_);
  }

 private:
  void Fault(const std::string& what, const std::string& remedy) {
    wiring_.faults.push_back({what, absl::StrCat(remedy, "; reload Exim")});
  }

  // Whether `acl` can be looked at; else says why not.
  bool IsKnown(const std::string& option, const std::string& acl) {
    if (acls_.acls.contains(acl)) return true;
    const bool by_smtp = option != "acl_not_smtp";
    const auto unreadable = config_.unreadable.find(acl);
    if (unreadable != config_.unreadable.end()) {
      Fault(absl::StrCat("Exim's ACL file ", acl, " (", option, ") cannot be read: ",
                         unreadable->second, "; so it cannot be told whether Exim asks there"),
            "run deferctl doctor as root; if the file is not there, Exim defers all mail");
      said_ = said_ || by_smtp;
      return false;
    }
    if (acl.find_first_of("$ ") != acl.npos) {
      wiring_.doubts.push_back(
          {absl::StrCat("Exim computes the name of its ACL for ", option,
                        ", so it cannot be told whether it asks: ", acl),
           absl::StrCat("see that each ACL which it may name has the lines of ", kAskFile)});
      not_known_ = not_known_ || by_smtp;
    } else if (!acl.empty()) {
      Fault(absl::StrCat(option, " names the ACL ", acl,
                         ", which is not defined: Exim defers the mail"),
            absl::StrCat("correct the name, or add the ACL behind 'begin acl'"));
      said_ = said_ || by_smtp;
    }
    return false;
  }

  void LookAt(const std::string& option, const std::string& acl) {
    const bool by_smtp = option == "acl_smtp_mail" || option == "acl_smtp_rcpt" ||
                         option == "acl_smtp_predata" || option == "acl_smtp_data";
    const bool by_program = option == "acl_not_smtp";
    if (!by_smtp && !by_program) {
      if (acls_.acls.contains(acl)) {
        used_.push_back(acl);
        if (walk_.Of(acl).asks) early_ = option;
      }
      return;
    }
    if (!IsKnown(option, acl)) return;
    used_.push_back(acl);
    const Found found = walk_.Of(acl);
    if (!found.asks) {
      if (Explain(acl, found)) said_ = said_ || by_smtp;
      return;
    }
    wiring_.asking.push_back(option);
    (by_smtp ? smtp_ : local_) = true;
    const Wiring::Door door = {.path = found.door, .root = ""};
    if (std::find(wiring_.doors.begin(), wiring_.doors.end(), door) == wiring_.doors.end()) {
      wiring_.doors.push_back(door);
    }
    if (!found.disregarded.empty()) {
      Fault(absl::StrCat("Exim asks in ", acl, " and disregards the answer: no deny looks at $",
                         found.disregarded),
            absl::StrCat("paste all lines of ", by_smtp ? kAskFile : kLocalFile));
    }
    if (!by_smtp) return;
    if (found.no_login) {
      Fault(absl::StrCat("Exim's question in ", acl,
                         " does not say who has logged in, so a login's mail is answered as a "
                         "stranger's"),
            absl::StrCat("take the question of ", kAskFile, ", which names $authenticated_id"));
    } else if (!found.only_where.empty()) {
      wiring_.doubts.push_back(
          {absl::StrCat("Exim asks in ", acl, " only where '", found.only_where, "' holds"),
           absl::StrCat("if that leaves out senders of yours, take the condition away, as in ",
                        kAskFile)});
    }
  }

  // Says what is wrong with an ACL's question; whether anything is.
  bool Explain(const std::string& acl, const Found& found) {
    if (!found.behind.empty()) {
      Fault(absl::StrCat("Exim never reaches the question in its ACL ", acl,
                         " for mail with a login: it stands behind ", found.behind),
            absl::StrCat("move the lines of ", kAskFile, " to the beginning of ", acl));
    } else if (!found.other.empty()) {
      Fault(absl::StrCat("Exim's ACL ", acl, " asks at ", found.other, ", and deferd listens at ",
                         here_),
            absl::StrCat("write ", doors_.empty() ? "" : doors_.front(),
                         " there, or name that socket as [hook] exim"));
    }
    return !found.behind.empty() || !found.other.empty();
  }

  void ExplainNoQuestion() {
    for (const auto& [name, acl] : acls_.acls) {
      if (std::find(used_.begin(), used_.end(), name) != used_.end()) continue;
      const Found found = walk_.Of(name);
      if (!found.asks || found.local) continue;
      Fault(absl::StrCat("Exim's question stands in the ACL ", name,
                         ", which no acl_smtp_* option names"),
            absl::StrCat("set acl_smtp_mail = ", name,
                         " in front of 'begin acl', or move the lines of ", kAskFile,
                         " into the ACL that acl_smtp_mail names"));
      return;
    }
    if (!early_.empty()) {
      Fault(absl::StrCat("Exim asks in ", early_, ", before it knows who sends"),
            absl::StrCat("move the lines of ", kAskFile, " into the ACL that acl_smtp_mail names"));
    } else if (local_) {
      Fault("Exim asks about mail by sendmail(1) alone, and not about mail with a login",
            absl::StrCat("deferctl setup exim, or paste the lines of ", kAskFile, " too"));
    } else {
      Fault(absl::StrCat("Exim's configuration does not ask at ", here_),
            absl::StrCat("deferctl setup exim, or paste the lines of ", kAskFile));
    }
  }

  const EximConfig& config_;
  const EximAcls acls_;
  const std::vector<std::string>& doors_;
  const Walk walk_;
  const std::string here_;
  Wiring wiring_;
  bool smtp_ = false;  // a question is reached for mail by SMTP
  bool said_ = false;  // what is wrong there
  bool not_known_ = false;
  bool local_ = false;
  std::string early_;  // asked before there is a sender
  std::vector<std::string> used_;
};

}  // namespace

bool IsOneOf(absl::string_view address, const std::vector<std::string>& doors) {
  for (absl::string_view door : doors) {
    absl::string_view port = address;
    if (address == door) return true;
    if (absl::ConsumePrefix(&port, "localhost:") &&
        (door == absl::StrCat("127.0.0.1:", port) || door == absl::StrCat("[::1]:", port))) {
      return true;
    }
  }
  return false;
}

Wiring EximWiring(const EximConfig& config, const std::vector<std::string>& doors) {
  return EximLook(config, doors).Report();
}

}  // namespace deferd
