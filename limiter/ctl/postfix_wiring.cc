#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/mta_wiring.h"

namespace deferd {

namespace {

using PostfixValues = std::map<std::string, std::string, std::less<>>;

constexpr absl::string_view kAsk = "check_policy_service";
constexpr absl::string_view kLists[] = {
    "smtpd_client_restrictions",      "smtpd_helo_restrictions",      "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",       "smtpd_recipient_restrictions", "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions"};
constexpr int kPostfixNesting = 10;  // of $names

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
std::string Expand(absl::string_view text, const PostfixValues& values, int depth = 0) {
  std::string out;
  while (!text.empty()) {
    if (text[0] != '$' || depth > kPostfixNesting) {
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

PostfixValues MainValues(absl::string_view main) {
  PostfixValues values;
  for (absl::string_view line : absl::StrSplit(main, '\n')) {
    const size_t equals = line.find('=');
    if (equals == line.npos) continue;
    values[std::string(absl::StripAsciiWhitespace(line.substr(0, equals)))] =
        std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
  return values;
}

struct PostfixListener {
  std::string name;
  bool chroot = false;
  bool as_root = false;
  PostfixValues overrides;
};

void Override(absl::string_view option, PostfixListener* listener) {
  const size_t equals = option.find('=');
  if (equals == option.npos) return;
  listener->overrides[std::string(absl::StripAsciiWhitespace(option.substr(0, equals)))] =
      std::string(absl::StripAsciiWhitespace(option.substr(equals + 1)));
}

// master.cf: service type private unpriv chroot wakeup maxproc command arguments
std::vector<std::vector<std::string>> Services(absl::string_view master) {
  std::vector<std::string> entries;
  for (absl::string_view line : absl::StrSplit(master, '\n')) {
    if (absl::StartsWith(line, "#") || absl::StripAsciiWhitespace(line).empty()) continue;
    if (absl::ascii_isspace(static_cast<unsigned char>(line[0])) && !entries.empty()) {
      absl::StrAppend(&entries.back(), line);
    } else {
      entries.emplace_back(line);
    }
  }
  std::vector<std::vector<std::string>> services;
  for (const std::string& entry : entries) {
    std::vector<std::string> words = Words(entry, kBlanks);
    if (words.size() >= 8) services.push_back(std::move(words));
  }
  return services;
}

// Where mail may come in with a login: smtpd that is reached from outside this host.
std::vector<PostfixListener> Listeners(absl::string_view master, bool chroot_by_default) {
  std::vector<PostfixListener> listeners;
  for (const std::vector<std::string>& words : Services(master)) {
    if (words[7] != "smtpd" || (words[1] != "inet" && words[1] != "pass")) continue;
    if (absl::StartsWith(words[0], "127.") || absl::StartsWith(words[0], "localhost:") ||
        absl::StartsWith(words[0], "[::1]") || absl::StartsWith(words[0], "::1:")) {
      continue;
    }
    PostfixListener listener = {.name = words[0],
                                .chroot = words[4] == "-" ? chroot_by_default : words[4] == "y",
                                .as_root = words[3] == "n",
                                .overrides = {}};
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

bool IsAccessTable(absl::string_view word) {
  return absl::StartsWith(word, "check_") && absl::EndsWith(word, "_access");
}

// How one listener asks.
class PostfixLook {
 public:
  PostfixLook(const PostfixListener& listener, const PostfixValues& main, absl::string_view master,
              const std::vector<std::string>& doors)
      : listener_(listener), main_(main), values_(main), master_(master), doors_(doors) {
    for (const auto& [name, value] : listener.overrides) values_[name] = value;
    for (const std::string& name : Words(Value("smtpd_restriction_classes"), kBlanksAndCommas)) {
      classes_.push_back(name);
    }
    for (absl::string_view list : kLists) {
      Way way = {.list = std::string(list)};
      Follow(Value(list), &way, 0);
    }
    if (asked_at_.empty()) LookIntoClasses();
    if (asked_at_.empty() && unclear_.what.empty()) LookAtOverrides();
  }

  bool TakesLogins() const { return Value("smtpd_sasl_auth_enable") == "yes"; }

  // Whether a login is asked about; else why() says what is in the way.
  bool asks() const { return !asked_at_.empty(); }
  Wiring::Door door() const {
    return {.path = asked_at_,
            .root = listener_.chroot ? Value("queue_directory") : "",
            .as_root = listener_.as_root};
  }
  const WiringFault& why() const { return why_; }
  const WiringFault& unclear() const { return unclear_; }  // no `what`: it is not

 private:
  static constexpr char kSilent[] = "does not ask deferd";

  // What stands in the way on a list, up to one word of it.
  struct Way {
    std::string list;
    std::string ended;      // by this word
    bool networks = false;  // permit_mynetworks has let local clients through
    std::string of_class;   // the restriction class whose words these are
  };

  void Follow(const std::string& text, Way* way, int depth) {
    const std::vector<std::string> words = Words(text, kBlanksAndCommas);
    for (size_t i = 0; i < words.size() && asked_at_.empty(); ++i) {
      const std::string& word = words[i];
      if (way->ended.empty() && EndsForLogins(word)) way->ended = word;
      if (word == "permit_mynetworks") way->networks = true;
      if (IsAccessTable(word)) {
        has_tables_ = true;
        ++i;
      } else if (word == kAsk && i + 1 < words.size()) {
        const std::vector<std::string> service = Words(words[++i], kBlanksAndCommas);
        if (!service.empty()) Ask(service[0], *way);
      } else if (word != kAsk && absl::StartsWith(word, "check_polic")) {
        Say(absl::StrCat("refuses mail with a server error: ", way->list,
                         " has the unknown restriction ", word),
            absl::StrCat("write check_policy_service, as deploy/postfix/ask.cf does"));
      } else if (IsClass(word) && depth < kPostfixNesting) {
        const std::string outer = std::exchange(way->of_class, word);
        Follow(Value(word), way, depth + 1);
        way->of_class = outer;
      }
    }
  }

  void Ask(const std::string& address, const Way& way) {
    std::string door;
    if (!IsOurs(address, way.list, &door)) return;
    const std::string where =
        way.of_class.empty() ? way.list : absl::StrCat(way.list, " (class ", way.of_class, ")");
    if (!way.ended.empty()) {
      Say(absl::StrCat("does not reach its question: in ", where, " it stands behind ", way.ended,
                       ", which ends the list for a login"),
          absl::StrCat("move the check_policy_service to the beginning of ", way.list));
    } else if (way.list == "smtpd_etrn_restrictions") {
      Say(absl::StrCat(kSilent, " about mail: smtpd_etrn_restrictions is for ETRN alone"),
          "move the check_policy_service to smtpd_data_restrictions");
    } else if ((way.list == "smtpd_client_restrictions" || way.list == "smtpd_helo_restrictions") &&
               Value("smtpd_delay_reject") == "no") {
      Say(absl::StrCat("asks in ", where, ", before it knows who sends (smtpd_delay_reject = no)"),
          "move the check_policy_service to smtpd_data_restrictions");
    } else {
      asked_at_ = door;
      if (way.networks) {
        unclear_ = {absl::StrCat("asks about no client of mynetworks: in ", where,
                                 " its question stands behind permit_mynetworks"),
                    absl::StrCat("move the check_policy_service to the beginning of ", way.list,
                                 "; postfix reload")};
      }
    }
  }

  // A class that no list names may be the answer of an access table.
  void LookIntoClasses() {
    for (const std::string& name : classes_) {
      const WiringFault before = why_;
      Way way = {.list = name};
      Follow(Value(name), &way, 1);
      if (asked_at_.empty()) continue;
      if (has_tables_) {
        unclear_ = {absl::StrCat("asks only where an access table answers ", name,
                                 ", a class of smtpd_restriction_classes"),
                    "see that the table has all who send with a login, or put the "
                    "check_policy_service into smtpd_data_restrictions; postfix reload"};
      } else {
        asked_at_.clear();
        why_ = before;
        Say(absl::StrCat(kSilent, ": its question stands in the class ", name,
                         ", which no restriction list names"),
            absl::StrCat("put ", name, " at the beginning of smtpd_data_restrictions"));
      }
      return;
    }
  }

  void LookAtOverrides() {
    for (const auto& [name, value] : listener_.overrides) {
      if (why_.what != kSilent) return;
      if (std::find(std::begin(kLists), std::end(kLists), name) == std::end(kLists) ||
          !absl::StrContains(MainList(name), kAsk)) {
        continue;
      }
      why_ = {absl::StrCat(kSilent, ": its -o ", name, "=", value,
                           " in master.cf replaces what main.cf says"),
              absl::StrCat("take that -o ", name,
                           " out of master.cf, or repeat the check_policy_service of "
                           "deploy/postfix/ask.cf in front of it; postfix reload")};
    }
  }

  bool IsClass(const std::string& word) const {
    return std::find(classes_.begin(), classes_.end(), word) != classes_.end();
  }

  // The first thing that is in the way is what is said.
  void Say(const std::string& what, const std::string& remedy) {
    if (why_.what == kSilent) why_ = {what, absl::StrCat(remedy, "; postfix reload")};
  }

  std::string Value(absl::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? "" : Expand(found->second, values_);
  }

  std::string MainList(absl::string_view name) const {
    const auto found = main_.find(name);
    return found == main_.end() ? "" : Expand(found->second, main_);
  }

  // An address as smtpd resolves it: what is relative is below the queue directory, and so is
  // everything for one that is chrooted to it.
  bool IsOurs(const std::string& address, absl::string_view list, std::string* door) {
    absl::string_view path = address;
    if (absl::ConsumePrefix(&path, "inet:")) {
      *door = std::string(path);
      if (IsOneOf(path, doors_)) return true;
    } else {
      absl::ConsumePrefix(&path, "unix:");
      const std::string queue = Value("queue_directory");
      const bool absolute = absl::StartsWith(path, "/");
      *door = std::string(path);
      if (IsOneOf(path, doors_) && absolute && listener_.chroot) {
        SayChrooted(address, *door, queue, list);
        return false;
      }
      if (IsOneOf(path, doors_)) return true;
      *door = absl::StrCat(queue, absolute ? "" : "/", path);
      if ((!absolute || listener_.chroot) && IsOneOf(*door, doors_)) return true;
    }
    const std::string service = ServiceAt(path);
    Say(absl::StrCat("asks at ", address,
                     service.empty() ? "" : absl::StrCat(", the service ", service),
                     ", and deferd listens at ", absl::StrJoin(doors_, " or ")),
        absl::StrCat("if ", address, " is meant to be deferd, write its address in ", list,
                     " as deploy/postfix/ask.cf does; else add the line of that file"));
    return false;
  }

  void SayChrooted(const std::string& address, absl::string_view door, const std::string& queue,
                   absl::string_view list) {
    Say(absl::StrCat("asks in vain: it is chrooted to ", queue, ", where ", address,
                     " is another place"),
        absl::StartsWith(door, queue + "/")
            ? absl::StrCat("write unix:", door.substr(queue.size() + 1), " in ", list)
            : absl::StrCat("let [hook] postfix be a socket below ", queue,
                           ", as deploy/postfix/ask.cf says"));
  }

  // "private/NAME" is a service of master.cf: its name and what runs it.
  std::string ServiceAt(absl::string_view path) const {
    if (!absl::ConsumePrefix(&path, "private/") && !absl::ConsumePrefix(&path, "public/")) {
      return "";
    }
    for (const std::vector<std::string>& words : Services(master_)) {
      if (words[0] != path || words[1] != "unix") continue;
      std::string user;
      for (const std::string& word : words) {
        if (absl::StartsWith(word, "user=")) user = absl::StrCat(" with ", word);
      }
      return absl::StrCat(path, " of master.cf (", words[7], user, ")");
    }
    return "";
  }

  const PostfixListener& listener_;
  const PostfixValues& main_;
  PostfixValues values_;
  const absl::string_view master_;
  const std::vector<std::string>& doors_;
  std::vector<std::string> classes_;
  bool has_tables_ = false;
  std::string asked_at_;  // the door; empty: it does not ask
  WiringFault why_ = {
      kSilent,
      "deferctl setup postfix, or add the check_policy_service of deploy/postfix/ask.cf; "
      "postfix reload"};
  WiringFault unclear_;
};

}  // namespace

Wiring PostfixWiring(const PostfixConfig& config, const std::vector<std::string>& doors) {
  Wiring wiring;
  const PostfixValues main = MainValues(config.main);
  const auto level = main.find("compatibility_level");
  const bool chroot_by_default = level != main.end() && level->second == "0";
  std::vector<WiringFault> without_logins;
  for (const PostfixListener& listener : Listeners(config.master, chroot_by_default)) {
    const PostfixLook look(listener, main, config.master, doors);
    const auto named = [&](const WiringFault& fault) {
      return WiringFault{absl::StrCat("Postfix's listener ", listener.name, " ", fault.what),
                         fault.remedy};
    };
    if (!look.unclear().what.empty()) wiring.doubts.push_back(named(look.unclear()));
    if (!look.asks()) {
      (look.TakesLogins() ? wiring.faults : without_logins).push_back(named(look.why()));
      continue;
    }
    wiring.asking.push_back(listener.name);
    const Wiring::Door door = look.door();
    if (std::find(wiring.doors.begin(), wiring.doors.end(), door) == wiring.doors.end()) {
      wiring.doors.push_back(door);
    }
  }
  if (wiring.asking.empty() && wiring.faults.empty()) wiring.faults = std::move(without_logins);
  return wiring;
}

}  // namespace deferd
