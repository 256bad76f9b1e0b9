#include "limiter/ctl/doctor_mta.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/ctl/mta_wiring.h"
#include "limiter/queue_helper/sender_table.h"

namespace deferd {

namespace {

// Where the braces that open at text[0] close, behind the last; 0 if they do not.
size_t BracesEnd(absl::string_view text) {
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return 0;
}

// Whether an address in main.cf, which may be below the queue directory, is one of deferd's doors.
bool IsDoor(const std::string& address, const std::vector<std::string>& doors,
            const std::string& queue) {
  absl::string_view written = address;
  if (absl::ConsumePrefix(&written, "inet:")) return IsOneOf(written, doors);
  absl::ConsumePrefix(&written, "unix:");
  return IsOneOf(written, doors) ||
         IsOneOf(absl::StrCat(queue, "/", absl::StripPrefix(written, "/")), doors);
}

// Adds findings that say which instance they are about, and how that one is reloaded.
class InstanceReport {
 public:
  // `reload`: in place of "postfix reload".
  InstanceReport(const std::string& server, const std::string& name, const std::string& reload,
                 DoctorReport* report)
      : prefix_(name.empty() ? "" : absl::StrCat(server, " (", name, "): ")),
        reload_(reload),
        report_(report) {}

  void Ok(const std::string& what) { report_->Ok(prefix_ + what); }
  void Note(const std::string& what, const std::string& remedy) {
    report_->Note(prefix_ + what, Remedy(remedy));
  }
  void Warning(const std::string& what, const std::string& remedy) {
    report_->Warning(prefix_ + what, Remedy(remedy));
  }
  void Problem(const std::string& what, const std::string& remedy) {
    report_->Problem(prefix_ + what, Remedy(remedy));
  }

  // What the wiring has; whether nothing is wrong with it.
  bool Add(const DoctorFacts& facts, const Wiring& wiring, const MailUser& user) {
    bool well = wiring.faults.empty();
    for (const WiringFault& fault : wiring.faults) Problem(fault.what, fault.remedy);
    for (const WiringFault& doubt : wiring.doubts) Warning(doubt.what, doubt.remedy);
    for (const Wiring::Door& door : wiring.doors) {
      const auto steps = facts.doors.find(door.path);
      if (steps == facts.doors.end() || door.as_root) continue;
      const std::optional<WiringFault> stops = StopsAt(steps->second, user, door.root);
      if (stops.has_value()) Problem(stops->what, stops->remedy);
      well = well && !stops.has_value();
    }
    return well;
  }

 private:
  std::string Remedy(const std::string& remedy) const {
    return reload_.empty() ? remedy : absl::StrReplaceAll(remedy, {{"postfix reload", reload_}});
  }

  const std::string prefix_;
  const std::string reload_;
  DoctorReport* const report_;
};

// Where nothing is known of the configuration, all doors are tried.
Wiring AnyDoor(const std::vector<std::string>& doors) {
  Wiring wiring;
  for (const std::string& door : doors) wiring.doors.push_back({.path = door, .root = ""});
  return wiring;
}

InstanceReport ReportOf(const DoctorFacts::Postfix& postfix, DoctorReport* report) {
  return {"Postfix", postfix.name,
          postfix.name.empty() ? "" : absl::StrCat("postfix -c ", postfix.name, " reload"), report};
}

}  // namespace

std::vector<PolicyService> PolicyServicesOf(absl::string_view restrictions) {
  constexpr absl::string_view kWord = "check_policy_service";
  std::vector<PolicyService> services;
  for (size_t at = restrictions.find(kWord); at != absl::string_view::npos;
       at = restrictions.find(kWord)) {
    restrictions.remove_prefix(at + kWord.size());
    absl::string_view rest = absl::StripLeadingAsciiWhitespace(restrictions);
    absl::string_view inside = rest.substr(0, rest.find_first_of(", \t\n"));
    if (absl::StartsWith(rest, "{")) {
      const size_t end = BracesEnd(rest);
      inside = end == 0 ? rest.substr(1) : rest.substr(1, end - 2);
    }
    inside = absl::StripAsciiWhitespace(inside);
    const size_t end = std::min(inside.find_first_of(", \t"), inside.size());
    if (end != 0) {
      services.push_back({std::string(inside.substr(0, end)), std::string(inside.substr(end))});
    }
  }
  return services;
}

std::vector<int> ReadsocketArguments(absl::string_view config,
                                     const std::vector<std::string>& doors) {
  constexpr absl::string_view kWord = "${readsocket";
  std::vector<int> counts;
  for (size_t at = config.find(kWord); at != absl::string_view::npos; at = config.find(kWord)) {
    config.remove_prefix(at + kWord.size());
    absl::string_view rest = config;
    int arguments = 0;
    bool ours = false;
    while (absl::StartsWith(rest = absl::StripLeadingAsciiWhitespace(rest), "{")) {
      const size_t end = BracesEnd(rest);
      if (end == 0) break;
      if (++arguments == 1) {
        ours = IsOneOf(absl::StripPrefix(rest.substr(1, end - 2), "inet:"), doors);
      }
      rest.remove_prefix(end);
    }
    if (ours) counts.push_back(arguments);
  }
  return counts;
}

namespace {

// Whether Exim puts mail into the queue from which only deferd-queue takes it.
bool SetsAside(absl::string_view config) {
  for (absl::string_view line : absl::StrSplit(config, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::ConsumePrefix(&line, "queue") &&
        absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "=") &&
        absl::StrContains(line, "deferd-held")) {
      return true;
    }
  }
  return false;
}

}  // namespace

void LookAtExim(const DoctorFacts& facts, DoctorReport* report) {
  const std::vector<std::string> doors = DoorsOf(facts.status, "exim");
  if (doors.empty()) return;
  for (const DoctorFacts::Exim& exim : facts.exims) {
    InstanceReport one("Exim", exim.name, "", report);
    if (!exim.problem.empty()) {
      one.Problem(absl::StrCat("it cannot be told whether Exim asks: ", exim.problem),
                  "run deferctl doctor as root; where Exim refuses its own configuration, mend "
                  "that first (exim4 -bV)");
    }
    if (exim.config.text.empty()) {
      one.Add(facts, AnyDoor(doors), exim.user);
      continue;
    }
    const bool well = one.Add(facts, EximWiring(exim.config, doors), exim.user);
    std::string text = exim.config.text;
    for (const auto& [path, acl] : exim.config.files) absl::StrAppend(&text, "\n", acl);
    if (!At(facts.status, "queue").is_object() && SetsAside(text)) {
      one.Warning(
          "Exim sets a blocked sender's mail aside, and no deferd-queue releases it",
          "install and start deferd-queue, then deferctl setup exim; or deferctl setup exim "
          "without it, which makes Exim defer such mail");
    }
    const std::vector<int> questions = ReadsocketArguments(text, doors);
    if (questions.empty()) continue;
    if (*std::min_element(questions.begin(), questions.end()) < 5) {
      one.Problem("Exim asks without a fail string, and refuses mail when deferd is away",
                  "end ${readsocket{..}{..}{2s}{}{}} as in deploy/exim/ask.conf");
    } else if (well) {
      one.Ok("Exim asks, and mail flows when deferd is away");
    }
  }
}

namespace {

// How long it waits for an answer, and what it does without one.
void LookAtServices(const DoctorFacts::Postfix& postfix, const std::vector<std::string>& doors,
                    InstanceReport* report) {
  for (const PolicyService& service : PolicyServicesOf(postfix.restrictions)) {
    if (!doors.empty() && !IsDoor(service.address, doors, postfix.queue)) continue;
    if (absl::StrContains(service.attributes, "default_action=DUNNO") ||
        postfix.default_action == "DUNNO") {
      report->Ok("Postfix asks a policy service, and mail flows when that is away");
    } else {
      report->Problem("Postfix asks a policy service without default_action=DUNNO",
                      "take the line of deploy/postfix: else mail is refused when deferd is away");
    }
    if (!absl::StrContains(service.attributes, "timeout=") ||
        !absl::StrContains(service.attributes, "try_limit=")) {
      report->Warning("Postfix waits long for a policy service that does not answer (100 s, twice)",
                      "give it timeout=2s, try_limit=1 as in deploy/postfix/ask.cf");
    }
  }
}

// A filter on another host, whose answers look like deliveries.
void LookAtFilter(const DoctorFacts& facts, const DoctorFacts::Postfix& postfix,
                  InstanceReport* report) {
  const std::string& filter = postfix.filter;
  const Json attempts = facts.attempts.is_array() ? facts.attempts : Json::array();
  for (const Json& one : attempts) {
    const std::string host = Field(one, "host");
    if (filter.empty() || host.empty() || !absl::StrContains(filter, host)) continue;
    if (!absl::StrContains(Field(one, "reply"), "queued as")) continue;
    report->Warning(absl::StrCat("what the filter ", host,
                                 " takes counts as delivered, and again when it comes back"),
                    absl::StrCat("list ", host, " as [charge] internal_hosts"));
    break;
  }
}

// Whether a deferd-queue reads the queue at `folder`; true if that is not known, or if there is
// none at all (LookAtQueue says so).
bool IsServed(const Json& status, const std::string& folder) {
  const Json queue = status.is_object() ? status.value("queue", Json(nullptr)) : Json(nullptr);
  if (!queue.is_object()) return true;
  for (const Json& helper : queue.value("helpers", Json::array())) {
    const Json postfix = helper.value("postfix", Json(nullptr));
    if (!postfix.is_string() || postfix == folder) return true;
  }
  return queue.value("helpers", Json::array()).empty();
}

}  // namespace

void LookAtPostfix(const DoctorFacts& facts, DoctorReport* report) {
  const std::vector<std::string> doors = DoorsOf(facts.status, "postfix");
  for (const DoctorFacts::Postfix& postfix : facts.postfixes) {
    InstanceReport one = ReportOf(postfix, report);
    if (!postfix.problem.empty() && !doors.empty()) {
      one.Problem(absl::StrCat("it cannot be told whether Postfix asks: ", postfix.problem),
                  "mend what postconf says; then run deferctl doctor again");
    }
    LookAtServices(postfix, doors, &one);
    if (!doors.empty() && !postfix.main.empty()) {
      const Wiring wiring = PostfixWiring({postfix.main, postfix.master}, doors);
      one.Add(facts, wiring, postfix.user);
      if (!wiring.asking.empty()) {
        one.Ok(absl::StrCat("Postfix's listeners that ask: ", absl::StrJoin(wiring.asking, ", ")));
      }
    }
    LookAtFilter(facts, postfix, &one);
    if (!doors.empty() && !postfix.queue.empty() && !IsServed(facts.status, postfix.queue)) {
      one.Note(
          "no deferd-queue reads this Postfix's queue: what is queued of a blocked sender "
          "goes out, and new mail that it would hold is deferred (450)",
          "run a deferd-queue for it (--postfix-config), and name its socket as one of "
          "[queue] helper");
    }
  }
  for (const std::string& name : facts.switched_off) {
    report->Note(absl::StrCat("the Postfix instance ", name,
                              " is switched off (multi_instance_enable = no) and not looked at"),
                 absl::StrCat("if it runs all the same: deferctl doctor --postfix-config ", name));
  }
}

namespace {

// The table and its problem of the helper that keeps one of Postfix's tables; of one helper, its.
std::pair<std::string, std::string> TableOf(const Json& queue, const std::string& senders) {
  const Json helpers = queue.value("helpers", Json::array());
  if (helpers.size() > 1) {
    for (const Json& helper : helpers) {
      const std::string table = Field(helper, "sender_table");
      if (!table.empty() && absl::StrContains(senders, table)) {
        return {table, Field(helper, "problem")};
      }
    }
    return {"", ""};
  }
  return {Field(queue, "sender_table"), Field(queue, "sender_table_problem")};
}

}  // namespace

void LookAtSenderTable(const DoctorFacts& facts, DoctorReport* report) {
  const Json queue =
      facts.status.is_object() ? facts.status.value("queue", Json(nullptr)) : Json(nullptr);
  for (const DoctorFacts::Postfix& postfix : facts.postfixes) {
    InstanceReport one = ReportOf(postfix, report);
    for (const std::string& table : postfix.missing_tables) {
      one.Problem(absl::StrCat("Postfix delivers nothing: its table ", table, " is not there"),
                  "start deferd-queue, which makes it, or take it out of "
                  "sender_dependent_default_transport_maps; postfix reload");
    }
    const auto [table, problem] =
        queue.is_object() ? TableOf(queue, postfix.senders) : std::pair<std::string, std::string>();
    const bool named = absl::StrContains(postfix.senders, "/deferd-queue");
    if (!problem.empty() && named) {
      one.Problem(absl::StrCat("Postfix's sender table cannot be written: ", problem),
                  "until then a block neither begins nor ends there; journalctl -u deferd-queue");
    }
    if (named && table.empty()) {
      one.Warning("Postfix looks into the sender table of deferd-queue, which nobody fills",
                  "start deferd-queue, and name its socket as [queue] helper");
      continue;
    }
    if (table.empty() || postfix.queue.empty()) continue;
    if (!absl::StrContains(postfix.senders, absl::StrCat("hash:", table))) {
      one.Note("Postfix asks nobody about mail by sendmail(1): what leaves at once, leaves",
               "deferctl setup postfix, or take the lines of deploy/postfix/held.cf");
    } else if (!absl::StrContains(postfix.master, SenderTable::kTransport)) {
      one.Problem(absl::StrCat("Postfix' master.cf has no transport ", SenderTable::kTransport),
                  "add deploy/postfix/held.master.cf to it; postfix reload");
    } else {
      one.Ok("Postfix defers mail that a blocked domain sends with sendmail(1)");
    }
  }
}

namespace {

bool HasRatelimit(absl::string_view config) {
  for (absl::string_view line : absl::StrSplit(config, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.empty() || absl::StartsWith(words[0], "#")) continue;
    for (absl::string_view word : words) {
      if (word == "ratelimit" || absl::StartsWith(word, "ratelimit=")) return true;
    }
  }
  return false;
}

}  // namespace

void LookAtOtherLimiters(const DoctorFacts& facts, DoctorReport* report) {
  const char* const kRemedy = "two limits may refuse one mail; know which one did";
  if (facts.panel_limiter) {
    report->Warning("the hosting panel's own limiter is at work here too",
                    "switch off its \"max defers and failures\", or mail is refused twice over");
  }
  for (const DoctorFacts::Exim& exim : facts.exims) {
    if (!HasRatelimit(exim.config.text)) continue;
    InstanceReport("Exim", exim.name, "", report)
        .Note("Exim's ACLs have a ratelimit of their own", kRemedy);
  }
  const std::vector<std::string> doors = DoorsOf(facts.status, "postfix");
  for (const DoctorFacts::Postfix& postfix : facts.postfixes) {
    for (const PolicyService& service : PolicyServicesOf(postfix.restrictions)) {
      if (doors.empty() || IsDoor(service.address, doors, postfix.queue)) continue;
      ReportOf(postfix, report)
          .Note(absl::StrCat("Postfix asks another policy service too: ", service.address),
                kRemedy);
    }
  }
  for (const std::string& file : facts.other_limits) {
    report->Note(absl::StrCat("another limiter is set up here: ", file), kRemedy);
  }
}

}  // namespace deferd
