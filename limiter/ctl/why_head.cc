#include "limiter/ctl/why_head.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/ctl/case_words.h"
#include "limiter/ctl/page_text.h"
#include "policy/evaluate.h"
#include "policy/fault.h"
#include "policy/left_out.h"
#include "policy/measure.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kLabel = 7;

size_t Room() {
  return PagesAre().width == PageStyle::kWhole ? PageStyle::kWhole : PagesAre().width - kLabel;
}

std::string Line(absl::string_view label, const std::string& text) {
  return absl::StrCat(Paint(label, Look::kStrong), std::string(kLabel - label.size(), ' '),
                      Fit(text, Room()), "\n");
}

const Json& ListAt(const Json& json, const char* name) {
  static const Json& none = *new Json(Json::array());
  const Json& list = At(json, name);
  return list.is_array() ? list : none;
}

// The case that was asked for, if that is not the one that the subject has now; else null.
const Json& OtherCase(const Json& why) {
  static const Json& none = *new Json(nullptr);
  const Json& named = At(why, "named_case");
  if (!named.is_object() || Field(named, "id") == Field(At(why, "case"), "id")) return none;
  return named;
}

bool LimitsWhatIsSent(const Json& record) {
  return record.is_object() && ParseMeasure(Field(record, "counts"), {}).sent();
}

// The case that stops its mail; null if none does.
Json StoppedBy(const Json& why) {
  const Json& record = At(why, "case");
  const bool known = why.contains("answers");
  if (known && Field(why, "state") == "ok") return nullptr;
  const Json& all = ListAt(why, "stopped_by");
  if (!all.empty()) return all[0];
  return record.is_object() && !Flag(record, "shadow") ? record : Json(nullptr);
}

std::string SinceUntil(const Json& record) {
  if (Flag(record, "permanent")) {
    return absl::StrCat("since ", BriefTime(Field(record, "since")),
                        ", until a person unblocks it");
  }
  const std::string left = TimeLeft(Field(record, "until"));
  return absl::StrCat("since ", BriefTime(Field(record, "since")), ", until ",
                      BriefTime(Field(record, "until")),
                      left.empty() ? "" : absl::StrCat(" (", left, ")"));
}

struct Banner {
  absl::string_view mark;
  Look look;
  std::string state;
  std::string more;
};

Banner BannerOf(const Json& why, const Json& stop) {
  const Json& own = At(why, "case");
  if (!stop.is_null()) {
    const std::string of = Field(stop, "subject");
    std::string more = SinceUntil(stop);
    if (of.empty()) {  // not shown to this reader
      more = absl::StrCat("by a block that is not its own, ", more);
    } else if (of != Field(why, "subject")) {
      more = absl::StrCat("by the block of ", of, ", ", more);
    }
    if (Field(stop, "state") == "probation") {
      return {"◌", Look::kWaiting, "MAY SEND A LITTLE", absl::StrCat("on probation ", more)};
    }
    return {"✖", Look::kBad, "CANNOT SEND", more};
  }
  if (why.contains("seen") && !Flag(why, "seen") && OtherCase(why).is_null()) {
    return {"?", Look::kWaiting, "WAS NEVER SEEN", "nothing stops its mail"};
  }
  const auto can = [](Look look, std::string more) {
    return Banner{"✔", look, "CAN SEND", std::move(more)};
  };
  if (own.is_object() && Flag(own, "shadow")) {
    return can(Look::kWaiting,
               absl::StrCat("only watched (shadow): would be blocked ", SinceUntil(own)));
  }
  if (own.is_object()) return can(Look::kGood, "the time of its block is over");
  for (const Json& part : ListAt(why, "parts")) {
    if (Flag(part, "shadow")) continue;
    return can(Look::kWaiting,
               absl::StrCat("but ", Field(part, "subject"), " cannot, until ",
                            Flag(part, "permanent") ? std::string("a person unblocks it")
                                                    : BriefTime(Field(part, "until"))));
  }
  const Json& exemption = At(why, "exemption");
  if (exemption.is_object()) return can(Look::kGood, ExemptWords(exemption));
  if (Flag(why, "exempt")) return can(Look::kGood, "exempt: no rule ever blocks it");
  if (why.contains("hosted") && !Flag(why, "hosted")) {
    return can(Look::kGood, "not hosted here: no rule ever blocks it");
  }
  if (Flag(why, "policy_shadow")) {
    return can(Look::kGood, "the policy only watches (shadow): it blocks nobody");
  }
  for (const Json& rule : ListAt(why, "rules")) {
    if (Flag(rule, "tripped") && !Flag(rule, "shadow")) {
      return can(Look::kWaiting, "over a limit: the next failure blocks it");
    }
  }
  return can(Look::kGood, "nothing stops its mail");
}

std::string NameOf(const Json& sender) {
  const std::string name = Field(sender, "name");
  return Field(sender, "kind") == "user" ? absl::StrCat("user ", name) : name;
}

// Without the domain that the page is about, where the page is narrow.
std::string ShortName(const Json& sender, const std::string& domain) {
  const std::string name = NameOf(sender), end = absl::StrCat("@", domain);
  const bool own =
      name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  return own ? name.substr(0, name.size() - domain.size()) : name;
}

std::string FateOf(const Json& sender) {
  const int64_t bad = Number(sender, "bad"), sent = bad + Number(sender, "delivered");
  if (sent == 0) return absl::StrCat(Number(sender, "left_out"), " not counted");
  const bool deferred = Number(sender, "deferred") > 0, failed = Number(sender, "failed") > 0;
  return absl::StrCat(bad > 0 ? bad : sent, " of ", sent,
                      bad == 0             ? " delivered"
                      : deferred && failed ? " failed or deferred"
                      : deferred           ? " deferred"
                                           : " failed");
}

std::string WhoText(const Json& why, const Json& causes) {
  std::vector<std::string> items, narrow;
  for (const Json& one : ListAt(causes, "who")) {
    const std::string fate = absl::StrCat(": ", FateOf(one));
    items.push_back(NameOf(one) + fate);
    narrow.push_back(ShortName(one, Field(why, "subject")) + fate);
  }
  if (!items.empty()) {
    const std::string whole = JoinFitting(items, " | ", PageStyle::kWhole);
    return Columns(whole) <= Room() ? whole : JoinFitting(narrow, " | ", Room());
  }
  for (const char* key : {"logins", "users", "senders"}) {  // of an older daemon
    for (const Json& one : ListAt(causes, key)) {
      items.push_back(absl::StrCat(Field(one, "name"), ": ", Number(one, "bad"), " failed"));
    }
    if (!items.empty()) return JoinFitting(items, " | ", Room());
  }
  return "nobody: nothing of it that counts was delivered, deferred or failed";
}

// "Gmail" where nearly all of these answers are of one organisation.
std::string MostlyFrom(const Json& answer, int64_t count) {
  const Json& hosts = ListAt(answer, "hosts");
  if (hosts.empty() || Number(hosts[0], "count") * 5 < count * 4) return "";
  return absl::StrCat(" (", std::string(ProviderName(Field(hosts[0], "name"))), ")");
}

std::string CountedWords(const Json& answer, int64_t count, bool counted) {
  const std::string name = Field(answer, "class"), recipient = Field(answer, "recipient");
  if (Number(answer, "recipients") == 1 && count > 1 && absl::StrContains(recipient, '@') &&
      name == ReplyClassName(ReplyClass::kInvalidRecipient)) {
    return absl::StrCat(recipient, " does not exist (", count, " times)",
                        counted ? "" : ", not counted");
  }
  const AnswerWords& words = WordsOf(ParseReplyClass(name).value_or(ReplyClass::kUnclassified));
  return absl::StrCat(count == 1 ? std::string(words.one) : absl::StrCat(count, " ", words.many),
                      MostlyFrom(answer, count), counted ? "" : ", not counted");
}

std::string WhatText(const Json& why, const Json& causes) {
  std::vector<std::string> items;
  std::vector<std::pair<int64_t, const Json*>> ranked;
  for (bool counted : {true, false}) {
    ranked.clear();
    for (const Json& one : ListAt(causes, "answers")) {
      const int64_t count = Number(one, counted ? "count" : "left_out");
      if (count > 0) ranked.emplace_back(-count, &one);
    }
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [minus, one] : ranked) items.push_back(CountedWords(*one, -minus, counted));
  }
  const Json& window = At(why, "window");
  if (const int64_t refused = Number(window, "rejected_recipients"); refused > 0) {
    items.push_back(absl::StrCat(refused, refused == 1 ? " recipient" : " recipients",
                                 " refused by this server"));
  }
  if (items.empty())
    return absl::StrCat("nothing failed or was deferred in ",
                        Field(why, "window_length").empty()
                            ? "the window"
                            : absl::StrCat("the last ", Field(why, "window_length")));
  const size_t room = Room();
  const std::string text = JoinFitting(items, " · ", room);
  const Json& subjects = ListAt(causes, "mail_subjects");
  int64_t bad = 0;
  for (const Json& one : ListAt(causes, "answers")) bad += Number(one, "count");
  if (subjects.empty() || Number(subjects[0], "bad") * 2 < bad) return text;
  const std::string title = absl::StrCat("\"", Field(subjects[0], "name"), "\"");
  const std::string whole = absl::StrCat(text, "   subject ", title);
  if (Columns(whole) <= room) return whole;
  constexpr size_t kGap = 3, kShortest = 11;  // of a title that still says something
  const size_t left = room - Columns(text);
  return left < kGap + kShortest ? text : absl::StrCat(text, "   ", Fit(title, left - kGap));
}

// The rule that is reached first.
std::string LimitText(const Json& why) {
  const Json* nearest = nullptr;
  double reached = -1;
  for (const Json& rule : ListAt(why, "rules")) {
    if (Flag(rule, "off")) continue;
    const auto part = [&](const char* have, const char* limit) {
      const auto most = static_cast<double>(Number(rule, limit));
      return most <= 0 ? 1.0 : std::min(1.0, static_cast<double>(Number(rule, have)) / most);
    };
    const double far = std::min(part("bad", "min_bad"), part("bad_percent", "percent")) -
                       (Flag(rule, "shadow") ? 0.5 : 0);
    if (nearest == nullptr || far > reached) {
      nearest = &rule;
      reached = far;
    }
  }
  if (nearest == nullptr) return "none: no rule judges it";
  const Json& rule = *nearest;
  const int64_t percent = Number(rule, "percent"), missing = Number(rule, "bad_missing");
  const std::string counted = deferd::CountedWords(rule);
  std::string text = absl::StrCat(
      Number(rule, "bad"), " of ", Number(rule, "min_bad"), " ",
      counted == "bad" ? "failed or deferred" : counted,
      percent == 0 ? std::string()
                   : absl::StrCat(", ", Number(rule, "bad_percent"), "% of ", percent, "%"),
      " in ", Field(rule, "window"));
  const std::string when = Field(rule, "at_this_pace");
  if (!when.empty()) {
    absl::StrAppend(&text, "; likely over by ", BriefTime(when));
  } else if (missing > 0) {
    absl::StrAppend(&text, "; ", missing, " more to go");
  }
  const std::string name =
      absl::StrCat(" (rule ", Field(rule, "name"), Flag(rule, "shadow") ? ", shadow" : "", ")");
  return Columns(text) + Columns(name) <= Room() ? text + name : text;
}

absl::string_view BriefReason(const std::string& name) {
  static constexpr std::pair<LeftOut, absl::string_view> kReasons[] = {
      {LeftOut::kNobodyCharged, "from outside or not proven"},
      {LeftOut::kMadeByMta, "bounces"},
      {LeftOut::kNoRemoteHost, "to mailboxes here"},
      {LeftOut::kInternalHost, "to hosts of yours"},
      {LeftOut::kOwnRefusal, "refused by deferd"},
      {LeftOut::kLate, "too old"},
      {LeftOut::kFuture, "dated in the future"},
      {LeftOut::kReplyClass, "of classes left out"},
      {LeftOut::kIncident, "for a server's trouble"},
      {LeftOut::kUnclear, "of unclear origin"}};
  for (const auto& [reason, words] : kReasons) {
    if (name == LeftOutName(reason)) return words;
  }
  return name == "counted apart" ? "of a login blocked by itself" : "for other reasons";
}

std::string LeftOutText(const Json& why) {
  std::vector<std::string> items;
  for (const Json& one : ListAt(At(why, "left_out"), "reasons")) {
    const int64_t count =
        Number(one, "delivered") + Number(one, "deferred") + Number(one, "failed");
    const std::string reason = Field(one, "reason");
    if (reason != LeftOutName(LeftOut::kReplyClass)) {
      items.push_back(absl::StrCat(count, " ", std::string(BriefReason(reason))));
      continue;
    }
    for (const auto& [name, of] : At(one, "classes").items()) {
      const std::optional<ReplyClass> reply_class = ParseReplyClass(name);
      if (!reply_class.has_value() || !of.is_number()) continue;
      items.push_back(absl::StrCat(Number(At(one, "classes"), name.c_str()), " ",
                                   std::string(WordsOf(*reply_class).reason)));
    }
  }
  if (items.empty()) return "nothing is left out of these counts";
  constexpr absl::string_view kBegin = "not counted: ";
  const size_t room = Room();
  return absl::StrCat(
      kBegin, JoinFitting(items, ", ", room == PageStyle::kWhole ? room : room - kBegin.size()));
}

std::string Numbered(const std::vector<std::string>& steps) {
  std::string line;
  for (size_t i = 0; i < steps.size(); ++i) {
    absl::StrAppend(&line, i == 0 ? "" : "   ", steps.size() > 1 ? absl::StrCat(i + 1, " ") : "",
                    steps[i]);
  }
  if (Columns(line) <= std::min(Room(), kPageWidth - kLabel)) return Line("DO", line);
  std::string out;
  for (size_t i = 0; i < steps.size(); ++i) {
    out += Line(i == 0 ? "DO" : "", absl::StrCat(i + 1, " ", steps[i]));
  }
  return out;
}

struct HeldMail {
  int64_t messages = 0;
  int64_t for_a_person = 0;
};
HeldMail HeldOf(const Json& why) {
  HeldMail held;
  for (const Json& one : ListAt(why, "held")) {
    held.messages += Number(one, "messages");
    if (!Field(one, "waits_for").empty()) held.for_a_person += Number(one, "messages");
  }
  return held;
}

std::string Messages(int64_t count) {
  return absl::StrCat(count, count == 1 ? " message" : " messages");
}

std::string WaitsText(const Json& why, const HeldMail& held) {
  if (held.for_a_person > 0) {
    return absl::StrCat(Messages(held.for_a_person),
                        " until a person decides: deferctl queue list");
  }
  if (held.messages > 0) {
    return absl::StrCat(Messages(held.messages), ", sent within 2 minutes after that");
  }
  const std::string told = Field(At(why, "answers"), "submission");
  const absl::string_view client_keeps =
      told == "hold" && Flag(why, "postfix_defers")
          ? "Postfix defers new mail (450), and its client keeps it; "
          : "";
  if (!Field(why, "held_problem").empty()) {
    return absl::StrCat(client_keeps, client_keeps.empty() ? "" : "held mail is ",
                        "not known: ", Field(why, "held_problem"));
  }
  if (why.contains("held_seen") && !Flag(why, "held_seen")) {
    const absl::string_view fresh = told == "reject"    ? "new mail is rejected; "
                                    : told == "discard" ? "new mail is discarded; "
                                                        : "";
    return absl::StrCat(fresh, "held mail is not known: no deferd-queue");
  }
  if (told == "reject") return "nothing is held: new mail is rejected, and its sender sees why";
  if (told == "discard") return "nothing: new mail is discarded";
  if (!client_keeps.empty()) {  // of one instance of several
    return absl::StrCat(client_keeps, "where deferd-queue serves it, new mail is held");
  }
  return "no mail is held now; new mail is held until then";
}

// A remedy names verbs without their arguments.
std::string WithSubject(std::string remedy, const std::string& subject) {
  const std::string kAsk = "deferctl why with --all";
  const size_t at = remedy.find(kAsk);
  if (at != std::string::npos) {
    remedy.replace(at, kAsk.size(), absl::StrCat("deferctl why ", subject, " --all"));
  }
  return remedy;
}

std::string EndWords(const Json& record) {
  const std::string by = Field(record, "closed_by"), reason = Field(record, "closed_reason");
  if (by == "time") return "by itself, when its time was over";
  if (by == "policy") return "by a change of the policy";
  if (by == "incident") return "since its failures were not the sender's: an incident";
  if (by == "rule") return "since the rule blocked it in earnest";
  return absl::StrCat("by ", by.empty() ? "a person" : by,
                      reason.empty() ? "" : absl::StrCat(": ", reason));
}

// What became of it, and which one came after it. `commands` as in WhyLinesOf.
void AddOtherCase(const Json& why, const Json& named, bool commands, std::vector<WhyLine>* lines) {
  const bool ended = Field(named, "state") == "closed";
  const std::string what = Flag(named, "exempt")    ? "exempt"
                           : Flag(named, "shadow")  ? "only watched (shadow)"
                           : Flag(named, "history") ? "never in force, found too late"
                                                    : "blocked";
  const std::string since = BriefTime(Field(named, "since"));
  lines->push_back(
      {"CASE",
       {absl::StrCat(Field(named, "id"), ": ", what,
                     ended ? absl::StrCat(" from ", since, " to ",
                                          BriefTime(Field(named, "closed_at")), ", ended")
                           : absl::StrCat(" ", SinceUntil(named)))}});
  if (ended) lines->push_back({"ENDED", {EndWords(named)}});
  lines->push_back({"CAUSE", {CauseOf(named)}});
  const Json& newer = At(why, "newer_case");
  if (!newer.is_object()) return;
  const std::string id = Field(newer, "id");
  const absl::string_view state = Field(newer, "state") == "closed" ? "ended too"
                                  : Flag(newer, "shadow")           ? "is only watched (shadow)"
                                                                    : "is open";
  lines->push_back({"NEWER",
                    {absl::StrCat(id, " of ", BriefTime(Field(newer, "since")), " ", state,
                                  commands ? absl::StrCat(": deferctl why ", id) : "")}});
}

}  // namespace

WhyLines WhyLinesOf(const Json& why, bool commands) {
  const std::string subject = Field(why, "subject");
  const Json stop = StoppedBy(why);
  const Banner banner = BannerOf(why, stop);
  WhyLines head = {.mark = banner.mark,
                   .look = banner.look,
                   .subject = subject,
                   .state = banner.state,
                   .more = banner.more};
  const bool seen = !why.contains("seen") || Flag(why, "seen");
  if (!seen && stop.is_null() && OtherCase(why).is_null()) return head;

  const auto add = [&head](absl::string_view label, std::string text) {
    head.lines.push_back({label, {std::move(text)}});
  };
  const Json& causes = At(why, "causes");
  const Json& fault = At(why, "fault");
  std::vector<std::string> steps;
  const std::string problem = Field(causes, "problem");
  const Json& other = OtherCase(why);
  if (other.is_object()) AddOtherCase(why, other, commands, &head.lines);
  if (other.is_object()) {
    // Who and what of that case, as far as the ledger still has them.
    if (!Flag(other, "manual") && problem.empty() && !ListAt(causes, "who").empty()) {
      add("WHO", WhoText(why, causes));
      add("WHAT", WhatText(why, causes));
      if (fault.is_object() && !LimitsWhatIsSent(other)) add("FAULT", Field(fault, "fault"));
    }
  } else if (!stop.is_null() && Flag(stop, "manual")) {
    const std::string reason = Field(stop, "reason"), by = Field(stop, "by");
    add("WHO", absl::StrCat(by.empty() ? "a person" : by, " stopped it by hand"));
    add("WHAT", reason.empty() ? "no reason was given" : reason);
    add("FAULT", "no rule: it is a person's decision");
    steps.push_back(by.empty() ? "ask the people who run the server" : absl::StrCat("ask ", by));
  } else if (LimitsWhatIsSent(stop)) {
    add("WHO", "all that it sends counts, delivered or not");
    add("WHAT", CauseOf(stop));
    add("FAULT", "it sends more than allowed: a newsletter, or a stolen password");
    if (commands) steps.push_back(absl::StrCat("deferctl track ", Field(stop, "subject")));
    steps.push_back("not its own mail: change the password, or mend the site");
    steps.push_back(absl::StrCat("its own mail: raise max_sent of rule ", Field(stop, "rule")));
  } else {
    add("WHO", problem.empty() ? WhoText(why, causes) : absl::StrCat("not known: ", problem));
    add("WHAT", !problem.empty() && !stop.is_null() ? CauseOf(stop) : WhatText(why, causes));
    if (fault.is_object() && (Field(fault, "trouble") != "none" || !stop.is_null())) {
      add("FAULT", Field(fault, "fault"));
    }
    for (const Json& one : ListAt(fault, "remedies")) {
      if (one.is_string()) {
        steps.push_back(WithSubject(PrintableUtf8(one.get<std::string>()), subject));
      }
    }
  }
  const HeldMail held = HeldOf(why);
  if (!stop.is_null() && commands) {
    steps.push_back(absl::StrCat("deferctl unblock ", Field(stop, "subject"),
                                 held.messages > 0 ? " --release" : ""));
  }
  if (!steps.empty()) head.lines.push_back({"DO", std::move(steps)});
  if (stop.is_null()) {
    add("LIMIT", LimitText(why));
    add("ALSO", LeftOutText(why));
  } else {
    add("WAITS", WaitsText(why, held));
  }
  return head;
}

std::string WhyHead(const Json& why) {
  const WhyLines head = WhyLinesOf(why, /*commands=*/true);
  const std::string state = absl::StrCat(head.mark, " ", head.subject, " ", head.state);
  const size_t width = PagesAre().width;
  std::string out = Paint(Fit(state, width), head.look);
  const std::string more = absl::StrCat("   ", head.more);
  if (width == PageStyle::kWhole || Columns(state) + Columns(more) <= width) {
    absl::StrAppend(&out, more, "\n");
  } else {
    absl::StrAppend(&out, "\n", Line("", head.more));
  }
  for (const WhyLine& line : head.lines) {
    out += line.label == "DO" ? Numbered(line.texts) : Line(line.label, line.texts.front());
  }
  return out;
}

}  // namespace deferd
