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

using Values = std::map<std::string, std::string, std::less<>>;

constexpr absl::string_view kAsk = "check_policy_service";
constexpr absl::string_view kLists[] = {"smtpd_client_restrictions",     "smtpd_helo_restrictions",
                                        "smtpd_sender_restrictions",     "smtpd_relay_restrictions",
                                        "smtpd_recipient_restrictions",  "smtpd_data_restrictions",
                                        "smtpd_end_of_data_restrictions"};
constexpr int kNesting = 10;  // of $names

constexpr absl::string_view kBlanks = " \t\n";
constexpr absl::string_view kBlanksAndCommas = ", \t\n";

// What stands in braces is one word, without them.
std::vector<std::string> Words(absl::string_view text, absl::string_view parted_by) {
  std::vector<std::string> words;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(parted_by), text.size()));
    if (text.empty()) return words;
    size_t end = 0;
    if (text[0] == '{') {
      int depth = 0;
      for (; end < text.size(); ++end) {
        if (text[end] == '{') ++depth;
        if (text[end] == '}' && --depth == 0) break;
      }
      words.emplace_back(absl::StripAsciiWhitespace(text.substr(1, end - 1)));
      text.remove_prefix(std::min(end + 1, text.size()));
      continue;
    }
    end = std::min(text.find_first_of(parted_by), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// $name, $(name) and ${name} replaced; a conditional ${...} stays as it is.
std::string Expand(absl::string_view text, const Values& values, int depth = 0) {
  std::string out;
  while (!text.empty()) {
    if (text[0] != '$' || depth > kNesting) {
      out.push_back(text[0]);
      text.remove_prefix(1);
      continue;
    }
    absl::string_view rest = text.substr(1);
    const char close = absl::StartsWith(rest, "{") ? '}' : absl::StartsWith(rest, "(") ? ')' : '\0';
    if (close != '\0') rest.remove_prefix(1);
    size_t end = 0;
    while (end < rest.size() &&
           (absl::ascii_isalnum(static_cast<unsigned char>(rest[end])) || rest[end] == '_')) {
      ++end;
    }
    const bool closed = close == '\0' || (end < rest.size() && rest[end] == close);
    if (end == 0 || !closed) {
      out.push_back('$');
      text.remove_prefix(1);
      continue;
    }
    const auto found = values.find(rest.substr(0, end));
    if (found != values.end()) out += Expand(found->second, values, depth + 1);
    text = rest.substr(end + (close != '\0' ? 1 : 0));
  }
  return out;
}

Values MainValues(absl::string_view main) {
  Values values;
  for (absl::string_view line : absl::StrSplit(main, '\n')) {
    const size_t equals = line.find('=');
    if (equals == line.npos) continue;
    values[std::string(absl::StripAsciiWhitespace(line.substr(0, equals)))] =
        std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
  return values;
}

struct Listener {
  std::string name;
  bool chroot = false;
  Values overrides;
};

void Override(absl::string_view option, Listener* listener) {
  const size_t equals = option.find('=');
  if (equals == option.npos) return;
  listener->overrides[std::string(absl::StripAsciiWhitespace(option.substr(0, equals)))] =
      std::string(absl::StripAsciiWhitespace(option.substr(equals + 1)));
}

// Where mail may come in with a login: smtpd that is reached from outside this host.
std::vector<Listener> Listeners(absl::string_view master) {
  std::vector<std::string> entries;
  for (absl::string_view line : absl::StrSplit(master, '\n')) {
    if (absl::StartsWith(line, "#") || absl::StripAsciiWhitespace(line).empty()) continue;
    if (absl::ascii_isspace(static_cast<unsigned char>(line[0])) && !entries.empty()) {
      absl::StrAppend(&entries.back(), line);
    } else {
      entries.emplace_back(line);
    }
  }
  std::vector<Listener> listeners;
  for (const std::string& entry : entries) {
    // service type private unpriv chroot wakeup maxproc command arguments
    const std::vector<std::string> words = Words(entry, kBlanks);
    if (words.size() < 8 || words[7] != "smtpd" || (words[1] != "inet" && words[1] != "pass")) {
      continue;
    }
    if (absl::StartsWith(words[0], "127.") || absl::StartsWith(words[0], "localhost:") ||
        absl::StartsWith(words[0], "[::1]") || absl::StartsWith(words[0], "::1:")) {
      continue;
    }
    Listener listener = {.name = words[0], .chroot = words[4] == "y", .overrides = {}};
    for (size_t i = 8; i < words.size(); ++i) {
      if (words[i] == "-o" && i + 1 < words.size()) Override(words[++i], &listener);
    }
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

// What ends a list before the question for a client that has logged in.
bool EndsForLogins(absl::string_view word) {
  return word == "permit" || word == "permit_sasl_authenticated" || word == "reject" ||
         word == "defer" || word == "discard";
}

// How one listener asks.
class Look {
 public:
  Look(const Listener& listener, Values values, const std::string& door)
      : listener_(listener), values_(std::move(values)), door_(door) {
    for (const auto& [name, value] : listener.overrides) values_[name] = value;
  }

  bool TakesLogins() const { return Value("smtpd_sasl_auth_enable") == "yes"; }

  // Whether a login is asked about; else *why and *remedy say what is in the way.
  bool Asks(std::string* why, std::string* remedy) const {
    *why = "does not ask deferd";
    *remedy = "add the check_policy_service of deploy/postfix/ask.cf; postfix reload";
    for (absl::string_view list : kLists) {
      std::string ended;
      const std::vector<std::string> words = Words(Value(list), kBlanksAndCommas);
      for (size_t i = 0; i < words.size(); ++i) {
        if (ended.empty() && EndsForLogins(words[i])) ended = words[i];
        if (words[i] != kAsk || i + 1 == words.size()) continue;
        const std::vector<std::string> service = Words(words[++i], kBlanksAndCommas);
        if (service.empty() || !IsOurs(service[0], list, why, remedy)) continue;
        if (!ended.empty()) {
          *why = absl::StrCat("does not reach its question: in ", list, " it stands behind ", ended,
                              ", which ends the list for a login");
          *remedy = absl::StrCat("move the check_policy_service to the beginning of ", list,
                                 "; postfix reload");
          continue;
        }
        return true;
      }
    }
    for (const auto& [name, value] : listener_.overrides) {
      if (*why != "does not ask deferd") break;
      if (std::find(std::begin(kLists), std::end(kLists), name) == std::end(kLists) ||
          !absl::StrContains(MainList(name), kAsk)) {
        continue;
      }
      *why = absl::StrCat("does not ask deferd: its -o ", name, "=", value,
                          " in master.cf replaces what main.cf says");
      *remedy = absl::StrCat("take that -o ", name,
                             " out of master.cf, or repeat the check_policy_service of "
                             "deploy/postfix/ask.cf in front of it; postfix reload");
    }
    return false;
  }

  void set_main(const Values* main) { main_ = main; }

 private:
  std::string Value(absl::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? "" : Expand(found->second, values_);
  }

  std::string MainList(absl::string_view name) const {
    const auto found = main_->find(name);
    return found == main_->end() ? "" : found->second;
  }

  // An address as smtpd resolves it: what is relative is below the queue directory, and so is
  // everything for one that is chrooted to it.
  bool IsOurs(const std::string& address, absl::string_view list, std::string* why,
              std::string* remedy) const {
    absl::string_view path = address;
    if (absl::ConsumePrefix(&path, "inet:")) {
      if (path == door_) return true;
    } else {
      absl::ConsumePrefix(&path, "unix:");
      const std::string queue = Value("queue_directory");
      const bool absolute = absl::StartsWith(path, "/");
      if (path == door_ && listener_.chroot) {
        *why = absl::StrCat("asks in vain: it is chrooted to ", queue, ", where ", address,
                            " is another place");
        *remedy = absl::StartsWith(door_, queue + "/")
                      ? absl::StrCat("write unix:", door_.substr(queue.size() + 1), " in ", list,
                                     "; postfix reload")
                      : absl::StrCat("let [hook] postfix be a socket below ", queue,
                                     ", as deploy/postfix/ask.cf says");
        return false;
      }
      if (path == door_) return true;
      if ((!absolute || listener_.chroot) &&
          absl::StrCat(queue, absolute ? "" : "/", path) == door_) {
        return true;
      }
    }
    if (*why == "does not ask deferd") {
      *why = absl::StrCat("asks at ", address, ", and deferd listens at ", door_);
      *remedy = absl::StrCat("if ", address, " is meant to be deferd, write its address in ", list,
                             " as deploy/postfix/ask.cf does; else add the line of that file");
    }
    return false;
  }

  const Listener& listener_;
  Values values_;
  const std::string& door_;
  const Values* main_ = nullptr;
};

}  // namespace

Wiring PostfixWiring(const PostfixConfig& config, const std::string& door) {
  Wiring wiring;
  const Values main = MainValues(config.main);
  std::vector<WiringFault> without_logins;
  for (const Listener& listener : Listeners(config.master)) {
    Look look(listener, main, door);
    look.set_main(&main);
    std::string why;
    std::string remedy;
    if (look.Asks(&why, &remedy)) {
      wiring.asking.push_back(listener.name);
      continue;
    }
    WiringFault fault = {absl::StrCat("Postfix's listener ", listener.name, " ", why), remedy};
    (look.TakesLogins() ? wiring.faults : without_logins).push_back(std::move(fault));
  }
  if (wiring.asking.empty() && wiring.faults.empty()) wiring.faults = std::move(without_logins);
  return wiring;
}

}  // namespace deferd
