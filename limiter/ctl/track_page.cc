#include "limiter/ctl/track_page.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "limiter/admin/track.h"
#include "limiter/ctl/page_text.h"
#include "policy/fault.h"
#include "policy/reply/reply_class.h"

namespace deferd {

namespace {

struct State {
  absl::string_view name;
  absl::string_view mark;
  Look look;
};
constexpr State kStates[] = {
    {"delivered", "✔", Look::kGood},    {"in progress", "…", Look::kFaint},
    {"deferred", "↻", Look::kWaiting},  {"failed", "✖", Look::kBad},
    {"expired", "⊗", Look::kBad},       {"rejected", "⊘", Look::kBad},
    {"refused by us", "■", Look::kBad}, {"held", "‖", Look::kWaiting},
    {"frozen", "‖", Look::kWaiting},    {"archived", "▣", Look::kGood},
    {"filtered", "▽", Look::kWaiting},  {"discarded", "−", Look::kBad},
};

// The row's own, or of an older daemon what its outcome says.
State StateOf(const Json& row) {
  std::string name = Field(row, "state");
  if (name.empty()) {
    name = Flag(row, "expired") ? "expired" : Field(row, "outcome");
    if (name == "queued") name = "in progress";
    if (Field(row, "left_out") == "own refusal") name = "refused by us";
    if (absl::StartsWith(name, "rejected")) name = "rejected";
  }
  for (const State& one : kStates) {
    if (one.name == name) return one;
  }
  return {"unknown", "?", Look::kFaint};
}

// In two words.
std::string ReasonOf(const Json& row) {
  const absl::string_view state = StateOf(row).name;
  const std::string reply = Field(row, "reply");
  if (state == "refused by us") return "sender blocked";
  if (state == "held") return absl::StrContains(reply, "deferd") ? "sender blocked" : "on hold";
  if (state == "frozen") return "by Exim";
  if (state == "delivered") {
    const int64_t tries = Number(row, "tries");
    return tries > 1 ? absl::StrCat("after ", tries, " tries") : "";
  }
  const std::optional<ReplyClass> reply_class = ParseReplyClass(Field(row, "class"));
  return reply_class.has_value() ? std::string(WordsOf(*reply_class).reason) : "";
}

std::string SenderOf(const Json& row) {
  const std::string sender = Field(row, "sender");
  return sender.empty() ? "<>" : sender;
}

std::string Server(const Json& row) {
  std::string host = Field(row, "host");
  if (!Field(row, "ip").empty())
    absl::StrAppend(&host, host.empty() ? "" : " ", "[", Field(row, "ip"), "]");
  return host;
}

// What of the line says nothing about its recipient.
std::string Facts(const Json& row) {
  std::vector<std::string> facts;
  const std::string original = Field(row, "original");
  if (original != Field(row, "recipient") && !original.empty()) {
    facts.push_back(absl::StrCat("for ", original));
  }
  if (!Field(row, "class").empty()) {
    facts.push_back(absl::StrReplaceAll(Field(row, "class"), {{"_", " "}}));
  }
  if (!Field(row, "login").empty()) facts.push_back(absl::StrCat("login ", Field(row, "login")));
  if (!Field(row, "user").empty()) facts.push_back(absl::StrCat("user ", Field(row, "user")));
  if (!Field(row, "subject").empty()) facts.push_back(absl::StrCat("of ", Field(row, "subject")));
  if (!Field(row, "left_out").empty()) {
    facts.push_back(absl::StrCat("not counted: ", Field(row, "left_out")));
  }
  if (!Field(row, "mail_subject").empty()) {
    facts.push_back(absl::StrCat("\"", Field(row, "mail_subject"), "\""));
  }
  std::string out;
  for (const std::string& one : facts) absl::StrAppend(&out, out.empty() ? "" : ", ", one);
  return out;
}

}  // namespace

std::string TrackPage(const Json& rows) {
  if (rows.empty()) return "nothing found\n";
  std::vector<Row> lines;
  for (const Json& row : rows) {
    const State state = StateOf(row);
    const std::string recipient = Field(row, "recipient");
    lines.push_back(
        {{std::string(state.mark), std::string(state.name), BriefTime(Field(row, "time")),
          SenderOf(row), recipient.empty() ? "-" : recipient, ReasonOf(row),
          Field(row, "id").empty() ? "-" : Field(row, "id")},
         state.look});
  }
  std::vector<Column> columns(7);
  columns[0].coloured = columns[1].coloured = true;
  columns[1].head = "STATE";
  columns[2].head = "TIME";
  columns[3] = {.head = "FROM", .least = 18, .optional = true};
  columns[4] = {.head = "TO", .least = 14};
  columns[5] = {.head = "REASON", .least = 13};
  columns[6].head = "ID";
  return Table(std::move(columns), lines);
}

std::string LifePage(const Json& rows) {
  if (rows.empty()) return "nothing found\n";
  std::string out = Paint(absl::StrCat("message ", Field(rows[0], "id")), Look::kStrong) + "\n";
  for (const Json& row : rows) {
    const State state = StateOf(row);
    const std::string recipient = Field(row, "recipient");
    const bool decisive = Flag(row, "decisive");
    std::string head = absl::StrCat(ShortTime(Field(row, "time")), "  ", state.mark, " ",
                                    state.name, "  ", SenderOf(row));
    if (!recipient.empty()) absl::StrAppend(&head, " -> ", recipient);
    if (recipient.empty() && state.name == "rejected" && !Field(row, "id").empty()) {
      head += " (to whom: the mail server did not log it)";
    }
    const std::string line = Wrapped(decisive ? "=> " : "   ", head);
    out += decisive ? absl::StrCat(Paint(line.substr(0, line.size() - 1), state.look), "\n") : line;
    const std::string host = Server(row), reply = Field(row, "reply");
    const std::string said = absl::StrCat(host, host.empty() || reply.empty() ? "" : ": ", reply);
    if (!said.empty()) out += Wrapped("       ", said);
    if (decisive && !Field(row, "meaning").empty()) {
      absl::StrAppend(&out, Wrapped("       what it means: ", Field(row, "meaning")),
                      Wrapped("       who acts:      ", Field(row, "side")),
                      Wrapped("       what to do:    ", Field(row, "advice")));
    }
    const std::string facts = Facts(row);
    if (!facts.empty()) out += Wrapped("       ", facts);
  }
  return out;
}

std::string NothingFound(const Json& request) {
  std::string out = "nothing found\n";
  const absl::StatusOr<OutcomeFilter> asked = ParseOutcomes(Field(request, "outcome"));
  if (!asked.ok()) return out;
  const auto named = [&](Outcome one) {
    return std::find(asked->outcomes.begin(), asked->outcomes.end(), one) != asked->outcomes.end();
  };
  if (named(Outcome::kFiltered) || named(Outcome::kArchived)) {
    out += Wrapped("",
                   "filtered (taken by a filter) and archived (copied to an archive) are never "
                   "read from a mail server's log, which does not tell them from a delivery or a "
                   "rejection; there are only those that another program reported by deferctl "
                   "record.");
  }
  if (!Field(request, "mail_subject").empty()) {
    out += Wrapped("",
                   "Subject: lines are kept only with subjects = true under [ledger] in deferd's "
                   "configuration, and where the mail server logs them (Exim: log_selector = "
                   "+subject).");
  }
  if (asked->in_progress) {
    out += Wrapped("",
                   "in progress: a message that is in the queue and was not tried yet. One that "
                   "was tried and waits for its next try is deferred.");
  }
  return out;
}

}  // namespace deferd
