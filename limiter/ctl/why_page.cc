#include "limiter/ctl/why_page.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/case_words.h"
#include "limiter/ctl/exempt_verbs.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/why_head.h"
#include "policy/dilution.h"
#include "policy/policy.h"
#include "policy/text.h"

namespace deferd {

namespace {

std::string Words(const std::string& name) { return absl::StrReplaceAll(name, {{"_", " "}}); }

// "reject", or the answers by source; empty if they are not known.
std::string ToldText(const Json& why) {
  const auto answers = why.find("answers");
  if (answers == why.end() || !answers->is_object()) return "";
  Action action;
  for (int i = 0; i < kSources; ++i) {
    const absl::StatusOr<Verdict> verdict =
        ParseVerdict(Field(*answers, std::string(SourceName(static_cast<Source>(i))).c_str()));
    if (!verdict.ok()) return "";
    action.by_source[static_cast<size_t>(i)] = *verdict;
  }
  return action.ToString();
}

std::string CaseText(const Json& why, const Json& record) {
  const bool shadow = Flag(record, "shadow");
  const std::string subject = Field(record, "subject");
  const bool own = subject == Field(why, "subject");
  // A case ends a moment after its time, when the logs are read so far.
  const bool stops = own ? Field(why, "state") != "ok" || !why.contains("answers") : true;
  std::string out = absl::StrCat(shadow ? "Would be blocked (shadow) "
                                 : own  ? "Blocked "
                                        : "",
                                 own ? "" : absl::StrCat("Stopped by the block of ", subject, ", "),
                                 ShortTime(Field(record, "since")), " ", UntilWords(record), "\n");
  absl::StrAppend(&out, Wrapped("  ", CauseOf(record)));
  if (!Flag(record, "manual")) {
    absl::StrAppendFormat(
        &out, "  counted then: %d delivered, %d deferred, %d failed; %d of %d is %d%%\n",
        Number(record, "delivered"), Number(record, "deferred"), Number(record, "failed"),
        Number(record, "count"), Number(record, "count") + Number(record, "delivered"),
        Number(record, "percent"));
    if (record.contains("receipt")) {
      const Json& receipt = At(record, "receipt");
      absl::StrAppend(&out, "  counted from ", ShortTime(Field(receipt, "window_begin")), " to ",
                      ZonedTime(Field(receipt, "window_end")), "\n");
    }
  }
  const std::string told = shadow ? "" : ToldText(why);
  absl::StrAppend(&out, Wrapped("  ", absl::StrCat(shadow ? "an MTA would get: " : "an MTA gets: ",
                                                   told.empty() ? Field(record, "action") : told)));
  if (!shadow && Flag(why.value("answers", Json::object()), "hold_limit_reached")) {
    out += Wrapped("  ",
                   "as much of it is held as the policy allows (hold_limit), so more is rejected");
  }
  if (shadow) return out + "\n";
  if (!stops) {
    return out + "  its time is over: mail passes, and the record is closed in a moment\n\n";
  }
  if (!Flag(record, "manual")) {
    absl::StrAppend(&out, "  it ends by itself then, if what came since is better\n");
  }
  absl::StrAppend(&out, "  to end it now: deferctl unblock ", subject, "\n\n");
  return out;
}

// Every case that stops its mail, its own first; then its own in shadow.
std::string CasesText(const Json& why) {
  std::string out;
  const Json& own = At(why, "case");
  if (!own.is_null()) out += CaseText(why, own);
  for (const Json& record : why.value("stopped_by", Json::array())) {
    if (own.is_null() || Field(record, "id") != Field(own, "id")) out += CaseText(why, record);
  }
  return out;
}

// What is blocked or held inside it, and what keeps it from being blocked.
std::string BesidesText(const Json& why) {
  std::string out;
  for (const Json& record : why.value("parts", Json::array())) {
    const bool shadow = Flag(record, "shadow");
    absl::StrAppend(
        &out, Wrapped(shadow ? "IN SHADOW: " : "BLOCKED:   ",
                      absl::StrCat(Field(record, "subject"), shadow ? " would be blocked" : "", " ",
                                   UntilWords(record), ", ", CauseOf(record), ": deferctl why ",
                                   Field(record, "subject"))));
  }
  for (const Json& held : why.value("held", Json::array())) {
    const std::string waits = Field(held, "waits_for");
    const int64_t messages = Number(held, "messages");
    absl::StrAppend(
        &out,
        Wrapped(
            "HELD:      ",
            absl::StrCat(
                messages, messages == 1 ? " message of " : " messages of ", Field(held, "subject"),
                Flag(held, "blocked") ? ", until the block ends or a person releases it"
                : waits.empty()
                    ? ", being released"
                    : absl::StrCat(", WAITS FOR A PERSON: ", waits,
                                   ". See deferctl queue list; then queue release or discard"),
                Number(held, "overdue") > 0
                    ? absl::StrCat("; ", Number(held, "overdue"), " for over hold_max")
                    : "")));
  }
  if (!Field(why, "held_problem").empty()) {
    out += Wrapped("HELD:      ", absl::StrCat("not known: ", Field(why, "held_problem")));
  }
  if (Flag(why, "exempt")) {
    const Json& exemption = At(why, "exemption");
    out += Wrapped("EXEMPT:    ",
                   absl::StrCat(exemption.is_object() ? absl::StrCat(ExemptWords(exemption), "; ")
                                                      : std::string(),
                                "counted, never blocked by a rule"));
  }
  if (why.contains("hosted") && !Flag(why, "hosted")) {
    out += Wrapped("NOT HOSTED: ",
                   "counted, never blocked by a rule: the domain is not in [charge] hosted");
  }
  if (Flag(why, "policy_shadow")) {
    out += Wrapped("SHADOW:    ",
                   "the policy is in mode \"shadow\": rules judge and show, but block nobody");
  }
  return out.empty() ? out : out + "\n";
}

std::string RulesText(const Json& why) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& rule : At(why, "rules")) {
    std::string verdict = "not reached";
    if (Flag(rule, "off")) verdict = "off: it gives no percent";
    if (Flag(rule, "tripped")) verdict = "REACHED";
    if (Flag(rule, "shadow")) verdict += " (shadow)";
    rows.push_back(
        {"  rule " + Field(rule, "name"),
         absl::StrCat(Number(rule, "bad"), " of ", Number(rule, "min_bad"), " ",
                      CountedWords(rule)),
         absl::StartsWith(Field(rule, "counts"), "sent_") ? std::string()
         : Number(rule, "min_recipients") > 0
             ? absl::StrCat(Number(rule, "recipients"), " of ", Number(rule, "min_recipients"),
                            " recipients, ", Number(rule, "bad_percent"), "%")
         : Number(rule, "percent") == 0
             ? "any share"
             : absl::StrCat(Number(rule, "bad_percent"), "% of ", Number(rule, "percent"), "%"),
         "in " + Field(rule, "window"), verdict});
  }
  std::string out = Table(rows);
  if (At(why, "rules").empty()) out += "  no rule judges this subject\n";
  for (const Json& rule : At(why, "rules")) {
    const std::string when = Field(rule, "at_this_pace");
    if (when.empty()) continue;
    absl::StrAppend(&out,
                    Wrapped("  ", absl::StrCat("at the pace of late, rule ", Field(rule, "name"),
                                               " is reached at about ", ZonedMinute(when),
                                               Flag(rule, "shadow") ? " (shadow)" : "")));
  }
  return out;
}

// "login bob@example.com 12, web@example.com 3"
std::string Names(const Json& list) {
  std::string out;
  for (const Json& one : list) {
    absl::StrAppend(&out, out.empty() ? "" : ", ", Field(one, "name"), " ", Number(one, "bad"));
  }
  return out;
}

std::string CausesText(const Json& causes) {
  std::string out;
  const std::string problem = Field(causes, "problem");
  if (!problem.empty()) return absl::StrCat("\n", Wrapped("causes:   ", problem));
  const std::pair<const char*, const char*> kPeople[] = {{"senders", "  senders "},
                                                         {"logins", "  logins  "},
                                                         {"users", "  users   "},
                                                         {"claimed", "  claimed "}};
  for (const auto& [key, label] : kPeople) {
    const std::string names = Names(causes.value(key, Json::array()));
    if (!names.empty()) absl::StrAppend(&out, Wrapped(label, names));
  }
  if (!out.empty()) out = "\nWho caused how many of the bad ones\n" + out;
  const Json answers = causes.value("answers", Json::array());
  if (!answers.empty()) out += "\nWhat the servers answered\n";
  for (const Json& one : answers) {
    const int64_t counted = Number(one, "count"), left_out = Number(one, "left_out");
    std::string head = absl::StrCat(counted + left_out, " ", Words(Field(one, "class")), ": ",
                                    Field(one, "meaning"));
    if (counted == 0) {
      head += " Left out.";
    } else if (left_out > 0) {
      absl::StrAppend(&head, " ", left_out, " of them left out.");
    }
    absl::StrAppend(&out, Wrapped("  ", head), Wrapped("    who acts: ", Field(one, "side")),
                    Wrapped("    do:       ", Field(one, "advice")),
                    Wrapped("    such as:  ", Field(one, "sample")));
  }
  return out;
}

std::string AttemptsText(const Json& why) {
  const Json& named = At(why, "named_case");
  const Json& record = named.is_object() ? named : At(why, "case");
  Json attempts = Json::array();
  int64_t total = 0;
  if (!record.is_null() && record.contains("receipt")) {
    attempts = At(record, "receipt").value("attempts", Json::array());
    total = std::max<int64_t>(Number(At(record, "receipt"), "attempts_total"),
                              static_cast<int64_t>(attempts.size()));
  } else if (why.contains("causes")) {
    attempts = At(why, "causes").value("attempts", Json::array());
    total = static_cast<int64_t>(attempts.size());
  }
  if (attempts.empty()) return "";
  std::string out = record.is_null() ? "\nThe bad attempts that count (newest first)\n"
                                     : "\nThe attempts that caused it (newest first)\n";
  constexpr int64_t kLinesShown = 10;
  int64_t shown = 0;
  for (const Json& one : attempts) {
    if (shown++ == kLinesShown) break;
    absl::StrAppend(&out, "  ", ShortTime(Field(one, "time")), "  ", Field(one, "outcome"), "  ",
                    CutUtf8(Field(one, "recipient"), 48), "\n");
    const std::string reply = Field(one, "reply");
    if (!reply.empty()) absl::StrAppend(&out, Wrapped("      ", reply));
  }
  if (total > kLinesShown) {
    absl::StrAppend(&out, "  and ", total - kLinesShown, " more: --json, or deferctl track\n");
  }
  return out;
}

std::string Classes(const Json& classes) {
  std::string out;
  for (const auto& [name, count] : classes.items()) {
    absl::StrAppend(&out, out.empty() ? "" : ", ", Words(name), " ", Number(classes, name.c_str()));
  }
  return out;
}

// With its reason, out of the ledger; without one, the classes that are counted in memory.
std::string LeftOutText(const Json& why) {
  const Json left_out = why.value("left_out", Json::object());
  if (!left_out.contains("reasons")) {
    const std::string classes = Classes(At(why, "window").value("left_out", Json::object()));
    return classes.empty() ? "" : Wrapped("left out: ", classes);
  }
  std::string out;
  for (const Json& one : At(left_out, "reasons")) {
    std::string numbers;
    for (const char* outcome : {"delivered", "deferred", "failed"}) {
      const int64_t count = Number(one, outcome);
      if (count == 0) continue;
      absl::StrAppend(&numbers, numbers.empty() ? "" : ", ", count, " ", outcome);
    }
    const std::string classes = Classes(one.value("classes", Json::object()));
    absl::StrAppend(&out,
                    Wrapped("left out: ", absl::StrCat(numbers, ", ", Field(one, "meaning"),
                                                       classes.empty() ? "" : ": ", classes)));
  }
  if (!Flag(left_out, "all")) out += "          (of the newest attempts; there are more)\n";
  if (!out.empty()) {
    out += "          deferctl stats counts these too, and the whole day\n";
  }
  return out;
}

std::string NeverSeenText(const Json& why) {
  std::string out = Wrapped("",
                            "deferd has counted no delivery, kept no attempt and recorded "
                            "no block under this name.");
  std::string near;
  for (const Json& name : At(why, "near")) {
    absl::StrAppend(&near, near.empty() ? "" : ", ",
                    PrintableUtf8(name.is_string() ? name.get<std::string>() : std::string()));
  }
  if (!near.empty()) return absl::StrCat(out, Wrapped("Did you mean: ", near));
  return absl::StrCat(out, Wrapped("",
                                   "Try: deferctl top, deferctl blocks, or deferctl track "
                                   "--sender ADDRESS to see who was charged for a message."));
}

// What keeps the counts from being sure, which nobody may miss.
std::string NotSureText(const Json& why) {
  std::string out;
  for (const Json& cause : why.value("unchecked", Json::array())) {
    absl::StrAppend(&out, Wrapped("UNCHECKED: ",
                                  absl::StrCat(PrintableUtf8(cause.get<std::string>()), " (since ",
                                               ZonedTime(Field(why, "unchecked_since")), ")")));
  }
  return out;
}

// All that is known, below the head.
std::string Details(const Json& why) {
  const Json& window = At(why, "window");
  const std::string stops = CasesText(why) + BesidesText(why);
  if (why.contains("seen") && !Flag(why, "seen")) {
    if (Field(why, "state") == "ok") return stops;
    return absl::StrCat(stops, Wrapped("",
                                       "It was never seen itself: no delivery of it is counted "
                                       "and no attempt is kept."));
  }
  std::string out = stops;
  absl::StrAppendFormat(&out, "Now: %d delivered, %d deferred, %d failed; %d bad, %d%%\n",
                        Number(window, "delivered"), Number(window, "deferred"),
                        Number(window, "failed"), Number(window, "bad"), Number(window, "percent"));
  if (const int64_t rejected = Number(window, "rejected_recipients"); rejected > 0) {
    absl::StrAppendFormat(
        &out, "  besides, %d recipients that this mail server refused at RCPT time\n", rejected);
  }
  if (window.contains("surplus")) {
    absl::StrAppendFormat(&out,
                          "  %d of the delivered do not lower the share that rules judge by: more "
                          "than %d of one message to one domain or server\n",
                          Number(window, "surplus"), Dilution::kMost);
  }
  const Json by_node = window.value("by_node", Json::object());
  for (const auto& [node, counts] : by_node.items()) {
    absl::StrAppendFormat(&out, "  on node %s: %d bad of %d\n", PrintableUtf8(node),
                          Number(counts, "bad"),
                          Number(counts, "bad") + Number(counts, "delivered"));
  }
  out += NotSureText(why);
  out += LeftOutText(why);
  out += RulesText(why);
  if (!Field(why, "cleared_at").empty()) {
    absl::StrAppend(&out, "  counted from the step after ", ZonedTime(Field(why, "cleared_at")),
                    " on: a block ended\n");
  }
  if (why.contains("causes")) out += CausesText(At(why, "causes"));
  out += AttemptsText(why);
  const Json incidents = why.value("incidents", Json::array());
  if (!incidents.empty()) out += "\nLeft out, since it is not this sender's doing\n";
  for (const Json& one : incidents) {
    std::string witnesses;
    for (const Json& witness : one.value("witnesses", Json::array())) {
      absl::StrAppend(&witnesses, witnesses.empty() ? "; witnesses: " : ", ",
                      PrintableUtf8(witness.get<std::string>()));
    }
    absl::StrAppend(
        &out,
        Wrapped("  ", absl::StrCat(Field(one, "where"), ", since ", ZonedTime(Field(one, "since")),
                                   ", for ", Number(one, "subject_count"),
                                   " senders: ", Field(one, "reply"), witnesses)));
  }
  if (!At(why, "events").empty()) {
    absl::StrAppend(&out, "\nRecord (", PageZone(), ")\n");
    std::vector<std::vector<std::string>> rows;
    for (const Json& event : At(why, "events")) {
      rows.push_back({"  " + ShortTime(Field(event, "time")), Field(event, "change"),
                      absl::StrCat("by ", Field(event, "by"),
                                   Field(event, "by") == "rule" ? " " : "", Field(event, "rule")),
                      Field(event, "reason")});
    }
    out += Table(rows);
  }
  return out;
}

}  // namespace

std::string WhyPage(const Json& why, bool all) {
  const std::string head = WhyHead(why);
  const std::string named = Field(At(why, "named_case"), "id");
  if (why.contains("seen") && !Flag(why, "seen") && named.empty()) {
    return Field(why, "state") == "ok"
               ? absl::StrCat(head, NeverSeenText(why), BesidesText(why))
               : absl::StrCat(head, all ? "\n" : "", all ? Details(why) : "");
  }
  if (all) return absl::StrCat(head, "\n", Details(why));
  return absl::StrCat(head, NotSureText(why),
                      Paint(absl::StrCat("evidence and answers: deferctl why ",
                                         named.empty() ? Field(why, "subject") : named, " --all"),
                            Look::kFaint),
                      "\n");
}

std::string VerifyPage(const Json& verified) {
  const Json& verdict = At(verified, "verdict");
  const Json& recounted = At(verified, "recounted");
  const std::string finding = Field(verified, "finding");
  std::string out = absl::StrCat(Field(verified, "subject"), ": ", finding, "\n");
  absl::StrAppend(
      &out, Wrapped("  ", absl::StrFormat("case %s: rule %s, %d %s, %d%% (limits %d, %d%%)",
                                          Field(verified, "case"), Field(verdict, "rule"),
                                          Number(verdict, "count"), CountedWords(verdict),
                                          Number(verdict, "percent"), Number(verdict, "min_bad"),
                                          Number(verdict, "percent_limit"))));
  absl::StrAppendFormat(&out, "  the ledger: %d delivered, %d deferred, %d failed; %d bad, %d%%\n",
                        Number(recounted, "delivered"), Number(recounted, "deferred"),
                        Number(recounted, "failed"), Number(recounted, "bad"),
                        Number(recounted, "percent"));
  if (const int64_t rejected = Number(recounted, "rejected_recipients"); rejected > 0) {
    absl::StrAppendFormat(&out, "  besides, %d rejected recipients\n", rejected);
  }
  for (const Json& remark : At(verified, "remarks")) {
    absl::StrAppend(&out, Wrapped("  - ", PrintableUtf8(remark.get<std::string>())));
  }
  return out;
}

}  // namespace deferd
