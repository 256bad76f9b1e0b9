#include "limiter/ctl/admin_pages.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "limiter/ctl/case_words.h"
#include "limiter/ctl/exempt_verbs.h"
#include "limiter/ctl/page_text.h"
#include "limiter/judging/incidents.h"
#include "policy/measure.h"
#include "policy/text.h"

namespace deferd {

namespace {

// The nodes that share, in the page `status`.
std::string SharedText(const Json& shared) {
  const std::string problem = Field(shared, "problem");
  std::string out = absl::StrCat("shared   ", Field(shared, "redis"), "\n");
  if (!problem.empty()) {
    out += Wrapped("         ", absl::StrCat("NOT SHARED: ", problem));
  }
  const int64_t waiting = Number(shared, "waiting_subjects") + Number(shared, "waiting_cases");
  if (waiting > 0) absl::StrAppend(&out, "         ", waiting, " wait to be shared\n");
  if (!Field(shared, "refused_last").empty()) {
    out += Wrapped("         ", absl::StrCat(Number(shared, "unreadable"),
                                             " values of other nodes were refused, the last: ",
                                             Field(shared, "refused_last")));
  }
  std::vector<std::vector<std::string>> rows;
  for (const Json& node : At(shared, "nodes")) {
    const double offset =
        At(node, "offset_seconds").is_number() ? At(node, "offset_seconds").get<double>() : 0;
    const double lag =
        At(node, "lag_seconds").is_number() ? At(node, "lag_seconds").get<double>() : 0;
    rows.push_back({"  node", Field(node, "node") + (Flag(node, "here") ? "*" : ""),
                    Field(node, "host"), Field(node, "policy_hash").substr(0, 8),
                    absl::StrFormat("%.1f s behind", lag), Flag(node, "live") ? "" : "GONE",
                    std::abs(offset) <= 30 ? "" : absl::StrFormat("CLOCK OFF BY %.0f s", -offset)});
  }
  return out + Table(rows);
}

std::string HeldName(const Json& held) {
  const std::string subject = Field(held, "subject");
  return subject.empty() ? "nobody that is known (deferctl queue release nobody)" : subject;
}

// What is held in the mail queue, in the page `status`.
std::string QueueText(const Json& queue) {
  const std::string problem = Field(queue, "problem");
  if (!problem.empty()) return Wrapped("queue    ", absl::StrCat("NOT SEEN: ", problem));
  std::string out = absl::StrCat("queue    ", Number(queue, "messages"), " held\n");
  const std::string table = Field(queue, "sender_table_problem");
  if (!table.empty()) {
    absl::StrAppend(&out, Wrapped("         ", absl::StrCat("SENDER TABLE NOT WRITTEN: ", table)));
  }
  for (const Json& one : At(queue, "held")) {
    const std::string waits = Field(one, "waits_for");
    absl::StrAppend(&out,
                    Wrapped("         ", absl::StrCat(HeldName(one), ": ", Number(one, "messages"),
                                                      Flag(one, "blocked") ? ", blocked"
                                                      : waits.empty()      ? ", being released"
                                                                      : ", WAITS FOR A PERSON: ",
                                                      Flag(one, "blocked") ? "" : waits)));
    if (Number(one, "overdue") > 0) {
      absl::StrAppend(
          &out, Wrapped("         ",
                        absl::StrCat(
                            "  OVERDUE: ", Number(one, "overdue"),
                            " held for longer than hold_max; their sender is not of this "
                            "server, or it is not sure what the answers that blocked it mean, so "
                            "they are not given back: release or discard them")));
    }
  }
  const Json not_done = queue.value("not_done", Json::array());
  if (!not_done.empty()) {
    const Json& first = not_done[0];
    absl::StrAppend(
        &out,
        Wrapped("         ",
                absl::StrCat("NOT DONE by the mail server for ", Number(queue, "not_done_total"),
                             ", tried again: ", Field(first, "order"), " ", Field(first, "id"),
                             ", ", Number(first, "times"), " times: ", Field(first, "why"))));
  }
  return out;
}

// What became of the mail that was held when the block ended.
std::string HeldText(const Json& subject, const Json& held) {
  if (!held.is_object()) return "";
  if (!Field(held, "problem").empty()) {
    return Wrapped("  ", absl::StrCat("held mail is not known: ", Field(held, "problem")));
  }
  const int64_t messages = Number(held, "messages");
  if (messages == 0) return "  nothing of it is held\n";
  std::string out = absl::StrCat("  held: ", messages, messages == 1 ? " message" : " messages",
                                 messages > 1 ? ", such as" : "", "\n");
  std::vector<std::vector<std::string>> rows;
  for (const Json& one : held["sample"]) {
    const Json recipients = one.value("recipients", Json::array());
    std::string to = recipients.empty() || !recipients[0].is_string()
                         ? ""
                         : PrintableUtf8(recipients[0].get<std::string>());
    if (recipients.size() > 1) absl::StrAppend(&to, " +", recipients.size() - 1);
    rows.push_back(
        {"   ", Field(one, "id"), ShortTime(Field(one, "arrival")), Field(one, "sender"), to});
  }
  out += Table(rows);
  const std::string name = PrintableUtf8(subject.is_string() ? subject.get<std::string>() : "");
  const std::string stays = Field(held, "stays_for");
  if (stays.empty()) {
    const bool all = Field(held, "order") == "release";
    return out + (all ? "  all of it goes now\n"
                      : "  it goes in portions, the next one if the one before went well\n");
  }
  absl::StrAppend(&out, Wrapped("  ", absl::StrCat("IT STAYS HELD: ", stays)),
                  "  to let it go:     deferctl queue release ", name,
                  "\n  to throw it away: deferctl queue discard ", name, "\n");
  return out;
}

}  // namespace

std::string NotSaved(const Json& block) {
  std::string out;
  const std::string unsaved = Field(block, "not_saved");
  if (!unsaved.empty()) {
    out = Wrapped("  ",
                  absl::StrCat("done, but not yet saved, so a restart would forget it: ", unsaved));
  }
  const std::string unshared = Field(block, "not_shared");
  if (!unshared.empty()) {
    out += Wrapped("  ", absl::StrCat("done here, not yet shared with other nodes: ", unshared));
  }
  return out;
}

std::string UntilWords(const Json& record) {
  return Flag(record, "permanent") ? std::string("until a person unblocks it")
                                   : absl::StrCat("until ", ZonedTime(Field(record, "until")));
}

std::string StatusPage(const Json& status) {
  const Json& policy = At(status, "policy");
  std::string out =
      absl::StrFormat("deferd %s, node %s, mode %s, up %s\n", Field(status, "version"),
                      Field(status, "node"), Field(status, "mode"), Field(status, "uptime"));
  absl::StrAppend(&out, "policy   ", Field(policy, "path"), " (", Field(policy, "hash"),
                  "), loaded ", ZonedTime(Field(policy, "loaded")), "\n");
  if (Flag(policy, "stale")) {
    out += Wrapped(
        "         ",
        absl::StartsWith(policy.value("error", ""), "reload_guard")
            ? "RELOAD REFUSED: the policy above stays in force until deferctl reload --force or "
              "a restart takes the file:"
            : "INVALID POLICY FILE: this last valid policy stays in force, also after a restart, "
              "until the file is fixed:");
    for (absl::string_view line : absl::StrSplit(policy.value("error", ""), '\n')) {
      out += Wrapped("         ", PrintableUtf8(line));
    }
  }
  for (const Json& source : At(status, "sources")) {
    const std::string problem = Field(source, "problem");
    absl::StrAppend(&out, "log      ", Field(source, "path"), ": ",
                    problem.empty()
                        ? absl::StrFormat("%.1f s behind, %d gaps",
                                          source.value("lag_seconds", 0.0), Number(source, "gaps"))
                        : problem,
                    "\n");
  }
  const Json& store = At(status, "store");
  const Json& ledger = At(store, "ledger");
  const std::string trouble = Field(store, "problem");
  absl::StrAppend(&out, "state    ", Field(store, "path"), ": ",
                  absl::StrFormat("%d MB", Number(store, "bytes") >> 20),
                  trouble.empty() ? ", saved" : ", NOT SAVED", "\n");
  absl::StrAppend(
      &out, "ledger   ",
      Flag(ledger, "enabled")
          ? absl::StrFormat("%d entries (attempts, arrivals, holds, refusals), kept %s",
                            Number(ledger, "rows"), Field(ledger, "keep"))
          : "off",
      Number(ledger, "lost_rows") == 0
          ? ""
          : absl::StrFormat(", %d LOST while the disk was full", Number(ledger, "lost_rows")),
      "\n");
  if (!At(status, "shared").is_null()) out += SharedText(At(status, "shared"));
  if (!At(status, "queue").is_null()) out += QueueText(At(status, "queue"));
  const Json& lines = At(status, "lines");
  absl::StrAppendFormat(&out, "lines    %d read: %d attempts, %d rejections, %d malformed\n",
                        Number(lines, "lines"), Number(lines, "attempts"),
                        Number(lines, "rejected"), Number(lines, "malformed"));
  if (const int64_t rejected = Number(lines, "rejected_recipients"); rejected > 0) {
    absl::StrAppendFormat(&out, "refused  %d recipients at RCPT time, to senders of yours\n",
                          rejected);
  }
  if (const int64_t unclear = Number(At(status, "left_out"), "unclear"); unclear > 0) {
    absl::StrAppendFormat(&out, "unclear  %d attempts charged to nobody: see deferctl doctor\n",
                          unclear);
  }
  absl::StrAppendFormat(&out, "subjects %d live, %d blocked, %d in shadow",
                        Number(status, "subjects"), Number(status, "blocked"),
                        Number(status, "shadow"));
  if (const int64_t exempt = Number(status, "exempt"); exempt > 0) {
    absl::StrAppendFormat(&out, ", %d exempt by a person", exempt);
  }
  out += "\n";
  for (const Json& incident : status.value("incidents", Json::array())) {
    absl::StrAppend(&out, Wrapped("incident ", absl::StrCat(Field(incident, "where"), " (",
                                                            Field(incident, "scope"), "), ",
                                                            Number(incident, "subject_count"),
                                                            " senders: deferctl incidents")));
  }
  for (const auto& [door, address] : At(status, "listening").items()) {
    absl::StrAppendFormat(&out, "%-8s %s\n", door, PrintableUtf8(address.get<std::string>()));
  }
  if (const std::string problem = Field(At(status, "api"), "problem"); !problem.empty()) {
    absl::StrAppend(&out, Wrapped("API      ", absl::StrCat("refuses everybody: ", problem)));
  }
  const Json blind = status.value("blind", Json::array());
  for (const Json& alarm : blind) {
    absl::StrAppend(&out, Wrapped("BLIND    ", absl::StrCat(Field(alarm, "what"), "; ",
                                                            Field(alarm, "remedy"))));
  }
  if (!Flag(status, "unchecked") && !blind.empty()) {
    out += "answers  checked against what deferd understands; see BLIND above\n";
  } else if (!Flag(status, "unchecked")) {
    out += "answers  checked: all that the logs say is counted\n";
  } else {
    for (const Json& cause : At(status, "causes")) {
      absl::StrAppend(&out, Wrapped("UNCHECKED: ", PrintableUtf8(cause.get<std::string>())));
    }
  }
  return out;
}

std::string CheckPage(const Json& check) {
  std::string out =
      absl::StrCat(Field(check, "subject"), ": ", Field(check, "verdict"), " (",
                   Field(check, "source"), Flag(check, "unchecked") ? ", unchecked" : "", ")\n");
  for (const Json& part : check.value("parts", Json::array())) {
    absl::StrAppend(&out, Wrapped("  ", absl::StrCat("but a part of it is blocked by itself: ",
                                                     PrintableUtf8(part.get<std::string>()))));
  }
  if (Flag(check, "shadow") && Field(check, "verdict") == "pass") {
    out += "  a rule in shadow would block it: deferctl why says more\n";
  }
  const Json& exemption = At(check, "exemption");
  if (!exemption.is_null()) out += Wrapped("  ", ExemptWords(exemption));
  const Json& record = At(check, "case");
  if (!record.is_null() && Field(record, "subject") != Field(check, "subject")) {
    absl::StrAppend(&out,
                    Wrapped("  ", absl::StrCat("by the block of ", Field(record, "subject"))));
  }
  if (!Field(check, "text").empty()) absl::StrAppend(&out, Wrapped("  ", Field(check, "text")));
  if (Flag(check, "unchecked")) {
    for (const Json& cause : At(check, "causes")) {
      absl::StrAppend(&out, Wrapped("  because ", PrintableUtf8(cause.get<std::string>())));
    }
  }
  return out;
}

std::string BlocksPage(const Json& blocks) {
  if (blocks.empty()) return "no blocks\n";
  std::vector<Row> rows;
  std::map<std::string, int64_t> times;
  bool ended = false;
  for (const Json& record : blocks) {
    const std::string state = Field(record, "state");
    const bool shadow = Flag(record, "shadow"), closed = state == "closed";
    ended = ended || closed;
    const bool exempt = Flag(record, "exempt"), permanent = Flag(record, "permanent") && !closed;
    if (!shadow && !exempt) ++times[Field(record, "subject")];
    const std::string until = Field(record, closed ? "closed_at" : "until");
    const std::string left = closed ? "" : TimeLeft(until);
    rows.push_back({{closed || exempt ? "✔"
                     : shadow         ? "…"
                                      : "✖",
                     Field(record, "subject"),
                     exempt && closed    ? "was exempt"
                     : shadow && !closed ? "shadow"
                                         : state,
                     BriefTime(Field(record, "since")),
                     permanent      ? std::string(exempt ? "removed" : "unblocked")
                     : left.empty() ? BriefTime(until)
                                    : absl::StrCat(BriefTime(until), " (", left, ")"),
                     CauseOf(record)},
                    closed   ? Look::kFaint
                    : exempt ? Look::kGood
                    : shadow ? Look::kWaiting
                             : Look::kBad});
  }
  std::vector<Column> columns(6);
  columns[0].coloured = columns[2].coloured = true;
  columns[1] = {.head = "SUBJECT", .least = 20};
  columns[2].head = "STATE";
  columns[3].head = "SINCE";
  columns[4].head = "UNTIL";
  columns[5] = {.head = "CAUSE", .below = true};
  std::string out = Table(std::move(columns), rows);
  if (!ended) return out;
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [subject, count] : times) {
    if (count > 1) ranked.emplace_back(-count, subject);
  }
  if (ranked.empty()) return out;
  std::sort(ranked.begin(), ranked.end());
  constexpr size_t kShown = 10;
  if (ranked.size() > kShown) ranked.resize(kShown);
  rows.clear();
  for (const auto& [minus, subject] : ranked) rows.push_back({{absl::StrCat(-minus), subject}});
  return out + "\nmost often blocked\n" +
         Table({{.head = "TIMES", .right = true}, {.head = "SUBJECT", .least = 20}}, rows);
}

std::string BlockedPage(const Json& block) {
  return absl::StrCat(Field(block, "subject"), ": blocked ", UntilWords(block), "\n",
                      NotSaved(block));
}

std::string UnblockedPage(const Json& block) {
  return absl::StrCat(
      Field(block, "subject"), ": unblocked\n",
      Wrapped("  it was ", absl::StrCat(Flag(block, "shadow") ? "in shadow" : "blocked", " since ",
                                        ZonedTime(Field(block, "since")), ", ", CauseOf(block))),
      "  only attempts from now on count\n",
      HeldText(block.value("subject", Json(nullptr)), block.value("held", Json(nullptr))),
      NotSaved(block));
}

namespace {

// What to do about an incident, by whose trouble it is.
std::string RemedyOf(const Json& incident) {
  const std::string scope = Field(incident, "scope");
  if (Field(incident, "where") == Incident::kResolver) {
    return "check our own DNS resolver: look up MX records of other domains with it";
  }
  if (scope == "ip") {
    return "find out what was sent from our address (deferctl top), stop it, then ask the list "
           "that the reply names for removal";
  }
  if (scope == "server") {
    return "correct what the reply names of our server (reverse DNS, HELO name, TLS, smart host "
           "login), then retry the queue";
  }
  if (scope == "sender_domain") {
    return "ask the postmaster there why it refuses this server's senders; it is not one sender's "
           "doing";
  }
  return "wait, the mail server tries again by itself; if it lasts, test port 25 of its servers "
         "from here";
}

}  // namespace

std::string IncidentsPage(const Json& incidents) {
  if (incidents.empty()) return "no incidents\n";
  std::string out;
  for (const Json& one : incidents) {
    const std::string ended = Field(one, "ended");
    const std::string scope = Field(one, "scope");
    const char* const what = scope == "destination"     ? " fails for "
                             : scope == "sender_domain" ? " refuses "
                             : Field(one, "where") == Incident::kResolver
                                 ? " fail for "
                                 : " refuses our own server, for ";
    const std::string head =
        Wrapped(ended.empty() ? "✖ " : "✔ ",
                absl::StrCat(Field(one, "where"), what, Number(one, "subject_count"),
                             Number(one, "subject_count") == 1 ? " sender" : " senders", " since ",
                             BriefTime(Field(one, "since")),
                             ended.empty() ? "" : absl::StrCat(", over at ", BriefTime(ended))));
    absl::StrAppend(
        &out, Paint(head.substr(0, head.size() - 1), ended.empty() ? Look::kBad : Look::kFaint),
        "\n",
        Wrapped("  answers  ", absl::StrCat(Number(one, "attempts"),
                                            ", not counted; the newest: ", Field(one, "reply"))));
    std::string names;
    for (const Json& subject : At(one, "subjects")) {
      absl::StrAppend(&names, names.empty() ? "" : ", ", PrintableUtf8(subject.get<std::string>()));
    }
    absl::StrAppend(&out, Wrapped("  senders  ", names));
    names.clear();
    for (const Json& witness : one.value("witnesses", Json::array())) {
      absl::StrAppend(&names, names.empty() ? "" : ", ", PrintableUtf8(witness.get<std::string>()));
    }
    if (!names.empty()) absl::StrAppend(&out, Wrapped("  witnesses: ", names));
    if (ended.empty()) absl::StrAppend(&out, Wrapped("  DO       ", RemedyOf(one)));
  }
  return out;
}

std::string TopPage(const Json& top) {
  if (top.empty()) return "nothing in the window\n";
  std::vector<Row> rows;
  for (const Json& one : top) {
    rows.push_back({{Field(one, "bad"), Field(one, "percent") + "%", Field(one, "deferred"),
                     Field(one, "failed"), Field(one, "delivered"),
                     absl::StrCat(Number(one, "rejected_recipients")), Field(one, "subject")}});
  }
  return Table({{.head = "BAD", .right = true},
                {.head = "SHARE", .right = true},
                {.head = "DEFERRED", .right = true},
                {.head = "FAILED", .right = true},
                {.head = "DELIVERED", .right = true},
                {.head = "REJECTED", .right = true},
                {.head = "SUBJECT", .least = 20}},
               rows);
}

std::string ReloadedPage(const Json& policy) {
  std::string out = absl::StrCat("reloaded: ", Field(policy, "path"), " (", Field(policy, "hash"),
                                 "), mode ", Field(policy, "mode"), "\n");
  for (const Json& change : policy.value("changes", Json::array())) {
    out += Wrapped("  ", PrintableUtf8(change.is_string() ? change.get<std::string>() : ""));
  }
  return out;
}

}  // namespace deferd
