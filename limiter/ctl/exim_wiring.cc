#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/mta_wiring.h"

namespace deferd {

namespace {

constexpr int kNesting = 10;  // of ACLs that call others
constexpr char kAskFile[] = "deploy/exim/ask.conf";

struct Statement {
  std::string verb;
  std::vector<std::string> items;  // conditions and modifiers, as written
};
using Acl = std::vector<Statement>;

struct Config {
  std::map<std::string, std::string, std::less<>> options;  // acl_*, by name
  std::map<std::string, Acl, std::less<>> acls;
};

bool IsVerb(absl::string_view word) {
  for (absl::string_view verb : {"accept", "defer", "deny", "discard", "drop", "require", "warn"}) {
    if (word == verb) return true;
  }
  return false;
}

// "name:" alone on its line.
bool IsLabel(absl::string_view line) {
  return absl::ConsumeSuffix(&line, ":") && !line.empty() &&
         line.find_first_of(" \t=$") == line.npos;
}

Config Read(absl::string_view text) {
  Config config;
  std::string section;
  std::string line;
  Acl* acl = nullptr;
  for (absl::string_view piece : absl::StrSplit(text, '\n')) {
    piece = absl::StripAsciiWhitespace(piece);
    if (absl::StartsWith(piece, "#")) continue;
    const bool goes_on = absl::ConsumeSuffix(&piece, "\\");
    absl::StrAppend(&line, piece);
    if (goes_on) continue;
    const std::string whole = std::exchange(line, "");
    absl::string_view rest = absl::StripAsciiWhitespace(whole);
    if (rest.empty()) continue;
    const absl::string_view word = rest.substr(0, rest.find_first_of(" \t="));
    if (word == "begin") {
      section = std::string(absl::StripAsciiWhitespace(rest.substr(word.size())));
    } else if (section.empty()) {
      absl::string_view value = absl::StripAsciiWhitespace(rest.substr(word.size()));
      if (absl::StartsWith(word, "acl_") && absl::ConsumePrefix(&value, "=")) {
        config.options[std::string(word)] = std::string(absl::StripAsciiWhitespace(value));
      }
    } else if (section == "acl") {
      if (IsLabel(rest)) {
        acl = &config.acls[std::string(absl::StripSuffix(rest, ":"))];
      } else if (acl != nullptr) {
        if (IsVerb(word)) {
          acl->push_back({std::string(word), {}});
          rest = absl::StripAsciiWhitespace(rest.substr(word.size()));
        }
        if (!rest.empty() && !acl->empty()) acl->back().items.emplace_back(rest);
      }
    }
  }
  return config;
}

absl::string_view NameOf(absl::string_view item) {
  absl::ConsumePrefix(&item, "!");
  item = absl::StripLeadingAsciiWhitespace(item);
  return item.substr(0, item.find_first_of(" \t="));
}

absl::string_view ValueOf(absl::string_view item) {
  const size_t equals = item.find('=');
  return equals == item.npos ? "" : absl::StripAsciiWhitespace(item.substr(equals + 1));
}

bool IsModifier(absl::string_view name) {
  for (absl::string_view one :
       {"set", "message", "log_message", "logwrite", "log_reject_target", "control", "delay",
        "endpass", "add_header", "remove_header", "queue", "continue", "udpsend"}) {
    if (name == one) return true;
  }
  return false;
}

// What a statement ends the ACL for, in words; empty: it goes on for mail with a login.
std::string EndsFor(const Statement& statement) {
  if (statement.verb == "warn" || statement.verb == "require") return "";
  bool for_logins = false;
  for (const std::string& item : statement.items) {
    const absl::string_view name = NameOf(item);
    const absl::string_view value = ValueOf(item);
    if (IsModifier(name)) continue;
    if (!absl::StartsWith(item, "!") && value == "*" && name == "authenticated") {
      for_logins = true;
      continue;
    }
    const bool always =
        (name == "condition" && (value == "true" || value == "yes" || value == "1")) ||
        (value == "*" &&
         (name == "hosts" || name == "senders" || name == "sender_domains" || name == "domains"));
    if (absl::StartsWith(item, "!") || !always) return "";
  }
  return for_logins ? absl::StrCat("'", statement.verb, " authenticated = *'")
                    : absl::StrCat("an unconditional '", statement.verb, "'");
}

// The socket paths that ${readsocket of `text` names.
std::vector<std::string> SocketsOf(absl::string_view text) {
  constexpr absl::string_view kWord = "${readsocket";
  std::vector<std::string> paths;
  for (size_t at = text.find(kWord); at != text.npos; at = text.find(kWord)) {
    text.remove_prefix(at + kWord.size());
    absl::string_view rest = absl::StripLeadingAsciiWhitespace(text);
    if (!absl::ConsumePrefix(&rest, "{")) continue;
    paths.emplace_back(absl::StripAsciiWhitespace(rest.substr(0, rest.find('}'))));
  }
  return paths;
}

// What an ACL does about deferd.
struct Found {
  bool asks = false;        // the question is reached
  bool local = false;       // and is about mail by sendmail(1) (deploy/exim/local.conf)
  std::string behind;       // it stands behind this, and is not
  std::string other;        // the socket of a question like ours that is none of deferd's
  std::string disregarded;  // the variable of an answer that no deny looks at
};

class Walk {
 public:
  Walk(const Config& config, const std::string& door) : config_(config), door_(door) {}

  Found Of(absl::string_view name) const { return Of(name, name, 0); }

 private:
  // `root`: the ACL that an option names, and that called this one.
  Found Of(absl::string_view name, absl::string_view root, int depth) const {
    Found found;
    const auto acl = config_.acls.find(name);
    if (acl == config_.acls.end() || depth > kNesting) return found;
    std::string ended;
    for (const Statement& statement : acl->second) {
      for (const std::string& item : statement.items)
        Look(statement, item, ended, root, depth, &found);
      if (ended.empty()) ended = EndsFor(statement);
    }
    return found;
  }

  void Look(const Statement& statement, const std::string& item, const std::string& ended,
            absl::string_view root, int depth, Found* found) const {
    if (NameOf(item) == "acl") {
      const absl::string_view value = ValueOf(item);
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
      if (path != door_) {
        // Ours by the form of the question.
        if (absl::StrContains(item, "check\\t") || absl::StrContains(path, "deferd")) {
          found->other = path;
        }
      } else if (!ended.empty()) {
        found->behind = ended;
      } else {
        found->asks = true;
        found->local = absl::StrContains(item, "source=local\\t");
        if (statement.verb == "warn" && NameOf(item) == "set") LookForUse(item, root, found);
      }
    }
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
      for (const Statement& statement : acl) {
        if (statement.verb == "warn" || statement.verb == "accept") continue;
        for (const std::string& one : statement.items) {
          if (NameOf(one) == "condition" && absl::StrContains(one, variable)) return;
        }
      }
    }
    found->disregarded = std::string(variable);
  }

  const Config& config_;
  const std::string& door_;
};

}  // namespace

Wiring EximWiring(absl::string_view text, const std::string& door) {
  Wiring wiring;
  const Config config = Read(text);
  const Walk walk(config, door);
  const auto fault = [&wiring](const std::string& what, const std::string& remedy) {
    wiring.faults.push_back({what, absl::StrCat(remedy, "; reload Exim")});
  };
  // Says what is wrong with an ACL's question; whether anything is.
  const auto explain = [&](const std::string& acl, const Found& found) {
    if (!found.behind.empty()) {
      fault(absl::StrCat("Exim never reaches the question in its ACL ", acl,
                         " for mail with a login: it stands behind ", found.behind),
            absl::StrCat("move the lines of ", kAskFile, " to the beginning of ", acl));
    } else if (!found.other.empty()) {
      fault(absl::StrCat("Exim's ACL ", acl, " asks at ", found.other, ", and deferd listens at ",
                         door),
            absl::StrCat("write ", door, " there, or name that socket as [hook] exim"));
    }
    return !found.behind.empty() || !found.other.empty();
  };

  bool smtp = false;  // a question is reached for mail by SMTP
  bool said = false;
  bool not_known = false;  // an ACL's name is computed, or its text is in a file
  bool local = false;
  std::string early;  // asked before there is a sender
  std::vector<std::string> used;
  for (const auto& [option, acl] : config.options) {
    const bool by_smtp = option == "acl_smtp_mail" || option == "acl_smtp_rcpt" ||
                         option == "acl_smtp_predata" || option == "acl_smtp_data";
    const bool by_program = option == "acl_not_smtp";
    if (config.acls.find(acl) == config.acls.end()) {
      not_known = not_known || (by_smtp && acl.find_first_of("$/ ") != acl.npos);
      continue;
    }
    used.push_back(acl);
    const Found found = walk.Of(acl);
    if (found.asks && !by_smtp && !by_program) early = option;
    if (!by_smtp && !by_program) continue;
    if (found.asks) {
      wiring.asking.push_back(option);
      (by_smtp ? smtp : local) = true;
      if (!found.disregarded.empty()) {
        fault(absl::StrCat("Exim asks in ", acl, " and disregards the answer: no deny looks at $",
                           found.disregarded),
              absl::StrCat("paste all lines of ", by_smtp ? kAskFile : "deploy/exim/local.conf"));
      }
    } else if (explain(acl, found)) {
      said = said || by_smtp;
    }
  }
  if (smtp || said || not_known) return wiring;
  for (const auto& [name, acl] : config.acls) {
    if (std::find(used.begin(), used.end(), name) != used.end()) continue;
    const Found found = walk.Of(name);
    if (!found.asks || found.local) continue;
    fault(absl::StrCat("Exim's question stands in the ACL ", name,
                       ", which no acl_smtp_* option names"),
          absl::StrCat("set acl_smtp_mail = ", name,
                       " in front of 'begin acl', or move the lines of ", kAskFile,
                       " into the ACL that acl_smtp_mail names"));
    return wiring;
  }
  if (!early.empty()) {
    fault(absl::StrCat("Exim asks in ", early, ", before it knows who sends"),
          absl::StrCat("move the lines of ", kAskFile, " into the ACL that acl_smtp_mail names"));
  } else if (local) {
    fault("Exim asks about mail by sendmail(1) alone, and not about mail with a login",
          absl::StrCat("paste the lines of ", kAskFile, " too"));
  } else {
    fault(absl::StrCat("Exim's configuration does not ask at ", door),
          absl::StrCat("paste the lines of ", kAskFile));
  }
  return wiring;
}

}  // namespace deferd
