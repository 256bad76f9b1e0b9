#include "limiter/ctl/doctor_mta.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

std::string PathOf(const DoctorFacts& facts, const char* door) {
  const Json listening =
      facts.status.is_object() ? facts.status.value("listening", Json::object()) : Json::object();
  return std::string(absl::StripPrefix(Field(listening, door), "unix:"));
}

// Whether an address in main.cf, which may be below the queue directory, is deferd's door.
bool IsDoor(const std::string& address, const std::string& door, const std::string& queue) {
  absl::string_view written = address;
  if (absl::ConsumePrefix(&written, "inet:")) return written == door;
  absl::ConsumePrefix(&written, "unix:");
  return written == door || absl::StrCat(queue, "/", absl::StripPrefix(written, "/")) == door;
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

std::vector<int> ReadsocketArguments(absl::string_view config, absl::string_view path) {
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
      if (++arguments == 1) ours = rest.substr(1, end - 2) == path;
      rest.remove_prefix(end);
    }
    if (ours) counts.push_back(arguments);
  }
  return counts;
}

void LookAtExim(const DoctorFacts& facts, DoctorReport* report) {
  const std::string door = PathOf(facts, "exim");
  if (facts.exim_config.empty() || door.empty()) return;
  const std::vector<int> questions = ReadsocketArguments(facts.exim_config, door);
  const Wiring wiring = EximWiring(facts.exim_config, door);
  for (const WiringFault& fault : wiring.faults) report->Problem(fault.what, fault.remedy);
  if (questions.empty()) return;
  if (*std::min_element(questions.begin(), questions.end()) < 5) {
    report->Problem("Exim asks without a fail string, and refuses mail when deferd is away",
                    "end ${readsocket{..}{..}{2s}{}{}} as in deploy/exim/ask.conf");
  } else if (wiring.faults.empty()) {
    report->Ok("Exim asks, and mail flows when deferd is away");
  }
}

void LookAtPostfix(const DoctorFacts& facts, DoctorReport* report) {
  const std::string door = PathOf(facts, "postfix");
  for (const PolicyService& service : PolicyServicesOf(facts.postfix_restrictions)) {
    if (!door.empty() && !IsDoor(service.address, door, facts.postfix_queue)) continue;
    if (absl::StrContains(service.attributes, "default_action=DUNNO") ||
        facts.postfix_default_action == "DUNNO") {
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
  if (!door.empty() && !facts.postfix_main.empty()) {
    const Wiring wiring = PostfixWiring({facts.postfix_main, facts.postfix_master}, door);
    for (const WiringFault& fault : wiring.faults) report->Problem(fault.what, fault.remedy);
    if (!wiring.asking.empty()) {
      report->Ok(
          absl::StrCat("Postfix's listeners that ask: ", absl::StrJoin(wiring.asking, ", ")));
    }
  }
  if (!absl::StartsWith(door, "/") || facts.postfix_queue.empty()) return;
  const bool below = absl::StartsWith(door, absl::StrCat(facts.postfix_queue, "/"));
  for (absl::string_view line : absl::StrSplit(facts.postfix_master, '\n')) {
    // service type private unpriv chroot wakeup maxproc command
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (below || !facts.postfix_main.empty() || words.size() < 8 || words[7] != "smtpd" ||
        words[4] != "y")
      continue;
    report->Problem(absl::StrCat("Postfix' smtpd (", words[0], ") is chrooted to ",
                                 facts.postfix_queue, " and cannot reach ", door),
                    absl::StrCat("let [hook] postfix be a socket below ", facts.postfix_queue,
                                 ", as deploy/postfix/ask.cf says"));
    break;
  }
  // A filter on another host, whose answers look like deliveries.
  const std::string& filter = facts.postfix_filter;
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

void LookAtSenderTable(const DoctorFacts& facts, DoctorReport* report) {
  for (const std::string& table : facts.missing_tables) {
    report->Problem(absl::StrCat("Postfix delivers nothing: its table ", table, " is not there"),
                    "start deferd-queue, which makes it, or take it out of "
                    "sender_dependent_default_transport_maps; postfix reload");
  }
  const Json queue =
      facts.status.is_object() ? facts.status.value("queue", Json(nullptr)) : Json(nullptr);
  const std::string table = queue.is_object() ? Field(queue, "sender_table") : "";
  const std::string problem = queue.is_object() ? Field(queue, "sender_table_problem") : "";
  if (!problem.empty() && absl::StrContains(facts.postfix_senders, "/deferd-queue/")) {
    report->Problem(absl::StrCat("Postfix's sender table cannot be written: ", problem),
                    "until then a block neither begins nor ends there; journalctl -u deferd-queue");
  }
  if (absl::StrContains(facts.postfix_senders, "/deferd-queue/") && table.empty()) {
    report->Warning("Postfix looks into the sender table of deferd-queue, which nobody fills",
                    "start deferd-queue, and name its socket as [queue] helper");
    return;
  }
  if (table.empty() || facts.postfix_queue.empty()) return;
  if (!absl::StrContains(facts.postfix_senders, absl::StrCat("hash:", table))) {
    report->Note("Postfix asks nobody about mail by sendmail(1): what leaves at once, leaves",
                 "take the lines of deploy/postfix/held.cf");
  } else if (!absl::StrContains(facts.postfix_master, SenderTable::kTransport)) {
    report->Problem(absl::StrCat("Postfix' master.cf has no transport ", SenderTable::kTransport),
                    "add deploy/postfix/held.master.cf to it; postfix reload");
  } else {
    report->Ok("Postfix puts off what a blocked domain sends by sendmail(1)");
  }
}

void LookAtOtherLimiters(const DoctorFacts& facts, DoctorReport* report) {
  const char* const kRemedy = "two limits may refuse one mail; know which one did";
  if (facts.panel_limiter) {
    report->Warning("the hosting panel's own limiter is at work here too",
                    "switch off its \"max defers and failures\", or mail is refused twice over");
  }
  for (absl::string_view line : absl::StrSplit(facts.exim_config, '\n')) {
    std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (!words.empty() && absl::StartsWith(words[0], "#")) continue;
    if (std::none_of(words.begin(), words.end(), [](absl::string_view word) {
          return word == "ratelimit" || absl::StartsWith(word, "ratelimit=");
        })) {
      continue;
    }
    report->Note("Exim's ACLs have a ratelimit of their own", kRemedy);
    break;
  }
  const std::string door = PathOf(facts, "postfix");
  for (const PolicyService& service : PolicyServicesOf(facts.postfix_restrictions)) {
    if (door.empty() || IsDoor(service.address, door, facts.postfix_queue)) continue;
    report->Note(absl::StrCat("Postfix asks another policy service too: ", service.address),
                 kRemedy);
  }
  for (const std::string& file : facts.other_limits) {
    report->Note(absl::StrCat("another limiter is set up here: ", file), kRemedy);
  }
}

void LookAtDoors(const DoctorFacts& facts, DoctorReport* report) {
  for (const DoctorFacts::Door& door : facts.doors) {
    if (door.group == door.mta_group && (door.mode & 060) == 060) continue;
    if ((door.mode & 06) == 06) continue;
    report->Problem(
        absl::StrCat(door.path, " is of group ", door.group, " and mode ",
                     absl::Hex(door.mode >> 6 & 7), absl::Hex(door.mode >> 3 & 7),
                     absl::Hex(door.mode & 7), "; the mail server is of group ", door.mta_group),
        absl::StrCat("[hook] group = \"", door.mta_group,
                     "\" and mode = \"0660\"; restart deferd"));
  }
}

}  // namespace deferd
