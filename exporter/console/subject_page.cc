#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "exporter/console/chart.h"
#include "exporter/console/delivery_table.h"
#include "exporter/console/pages.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/why_head.h"
#include "policy/reply/reply_class.h"

namespace deferd {
namespace {

constexpr int64_t kMessages = 50;

absl::string_view ClassOf(Look look) {
  switch (look) {
    case Look::kGood:
      return "good";
    case Look::kBad:
      return "bad";
    case Look::kWaiting:
      return "waiting";
    default:
      return "plain";
  }
}

// The six lines, as `deferctl why` begins.
void WriteHeadLines(Html* html, const Json& why) {
  const WhyLines head = WhyLinesOf(why, /*commands=*/false);
  const Html::Scope banner = html->In(
      "section",
      {{"class", absl::StrCat("banner ", ClassOf(head.look))}, {"aria-label", "State and cause"}});
  WriteBannerTitle(html, head);
  const Html::Scope lines = html->In("dl");
  for (const WhyLine& line : head.lines) {
    html->Put("dt", line.label);
    const Html::Scope text = html->In("dd");
    if (line.texts.size() == 1) {
      html->Text(absl::string_view(line.texts.front()));
      continue;
    }
    const Html::Scope list = html->In("ol");
    for (const std::string& one : line.texts) html->Put("li", one);
  }
}

struct ActForm {
  Literal id;
  absl::string_view button;
  absl::string_view explained;
  bool needs_reason = false;
  std::vector<std::pair<absl::string_view, absl::string_view>> lengths;  // value, words
  absl::string_view option;                                              // a checkbox
};

void WriteAct(Html* html, const Visitor& visitor, const std::string& subject, const ActForm& act) {
  const Html::Scope details = html->InAs("details", "act");
  html->Put("summary", act.button);
  const Html::Scope form = html->InForm("post", Url("/act"));
  WriteCsrf(html, visitor);
  WriteHidden(html, "do", act.id.text());
  WriteHidden(html, "subject", subject);
  html->PutAs("p", "faint", act.explained);
  if (!act.lengths.empty()) {
    const Html::Scope field = html->InAs("label", "field");
    html->Put("span", "For");
    const Html::Scope select = html->In("select", {{"name", "for"}});
    for (const auto& [value, words] : act.lengths) html->Put("option", words, {{"value", value}});
  }
  WriteInput(html, "reason", act.needs_reason ? "Reason" : "Reason (optional)", "",
             {.required = act.needs_reason});
  if (!act.option.empty()) {
    const Html::Scope field = html->InAs("label", "check");
    html->Void("input", {{"type", "checkbox"}, {"name", "held"}, {"value", "release"}});
    html->Put("span", act.option);
  }
  html->Put("button", act.button);
}

void WriteActs(Html* html, const Visitor& visitor, const Json& why) {
  const std::string subject = Field(why, "subject");
  int64_t held = 0;
  for (const Json& one : At(why, "held")) {
    if (Field(one, "subject") == subject) held += Number(one, "messages");
  }
  const Json& record = At(why, "case");
  const bool blocked = record.is_object() && !Flag(record, "shadow") &&
                       Field(record, "subject") == subject && Field(record, "state") != "closed";
  const Json& exemption = At(why, "exemption");
  const Html::Scope section = html->In("section", {{"class", "acts"}, {"aria-label", "Actions"}});
  if (blocked && visitor.May("POST", "/subjects/{subject}/unblock")) {
    WriteAct(html, visitor, subject,
             {.id = "unblock",
              .button = "Unblock",
              .explained = "Ends the block. Only attempts from now on count.",
              .option = held > 0 ? "Also release the held mail" : ""});
  }
  if (held > 0 && visitor.May("POST", "/queue/release")) {
    WriteAct(html, visitor, subject,
             {.id = "release",
              .button = "Release held mail",
              .explained = "Sends what is held now. The block stays."});
  }
  if (visitor.May("POST", "/exemptions")) {
    if (exemption.is_object() && Field(exemption, "source") == "person") {
      WriteAct(html, visitor, subject,
               {.id = "unexempt",
                .button = "End the exemption",
                .explained = "Rules judge it again, by what was counted all the while."});
    } else if (!exemption.is_object()) {
      WriteAct(html, visitor, subject,
               {.id = "exempt",
                .button = "Exempt",
                .explained = "No rule blocks it in that time. It is counted and shown as before.",
                .needs_reason = true,
                .lengths = {{"24h", "1 day"},
                            {"168h", "7 days"},
                            {"720h", "30 days"},
                            {"ever", "until it is removed"}}});
    }
  }
  if (!blocked && visitor.May("POST", "/subjects/{subject}/block")) {
    WriteAct(html, visitor, subject,
             {.id = "block",
              .button = "Block",
              .explained = "Stops its mail at once.",
              .needs_reason = true,
              .lengths = {{"1h", "1 hour"},
                          {"4h", "4 hours"},
                          {"24h", "1 day"},
                          {"168h", "7 days"},
                          {"ever", "until it is unblocked"}}});
  }
}

void WriteRules(Html* html, const Json& why) {
  const Json& rules = At(why, "rules");
  if (!rules.is_array() || rules.empty()) return;
  html->Put("h2", "How near the limits");
  const Html::Scope grid = html->InAs("div", "gauges");
  for (const Json& rule : rules) {
    if (Flag(rule, "off")) continue;
    const Html::Scope card = html->InAs("section", "card");
    html->Put("h3", absl::StrCat("Rule ", Field(rule, "name"), ", in ", Field(rule, "window"),
                                 Flag(rule, "shadow") ? ", only watched" : ""));
    WriteGauge(html, "Count", Number(rule, "bad"), Number(rule, "min_bad"), "");
    if (Number(rule, "percent") > 0) {
      WriteGauge(html, "Share", Number(rule, "bad_percent"), Number(rule, "percent"), "%");
    }
  }
}

std::vector<int64_t> Numbers(const Json& list) {
  std::vector<int64_t> numbers;
  for (const Json& one : list) {
    if (one.is_number_integer()) numbers.push_back(one.get<int64_t>());
  }
  return numbers;
}

void WriteDay(Html* html, const Visitor& visitor, const Json& why) {
  html->Put("h2", "The last day");
  absl::StatusOr<Json> history = At(why, "history");
  if (!history->is_object()) {  // what asks for it alone says what is wrong
    history = visitor.Get("/subjects/{subject}/history", Json::object(), Field(why, "subject"));
  }
  if (!history.ok()) {
    WriteProblem(html, history.status());
    return;
  }
  absl::Time since, until;
  const bool times =
      absl::ParseTime(absl::RFC3339_full, Field(*history, "since"), &since, nullptr) &&
      absl::ParseTime(absl::RFC3339_full, Field(*history, "until"), &until, nullptr);
  if (!times) return;
  const Html::Scope figure = html->InAs("figure", "card");
  WriteDayPlot(html,
               {.delivered = Numbers(At(*history, "delivered")),
                .deferred = Numbers(At(*history, "deferred")),
                .failed = Numbers(At(*history, "failed"))},
               since, until, visitor.zone);
  const Html::Scope caption = html->InAs("figcaption", "legend");
  html->PutAs("span", "key good", "Delivered");
  html->PutAs("span", "key waiting", "Deferred");
  html->PutAs("span", "key bad", "Failed");
  html->PutAs("span", "faint",
              Flag(*history, "all") ? "Attempts in each half hour"
                                    : "Attempts in each half hour; the oldest are not shown");
}

void WriteCulprits(Html* html, const Json& causes) {
  const Json& who = At(causes, "who");
  if (!who.is_array() || who.empty()) return;
  HtmlTable table(html, "Who sent it",
                  {"Sender", "Proven by", "#Failed", "#Deferred", "#Delivered"});
  for (const Json& one : who) {
    const Html::Scope row = table.Row();
    const std::string kind = Field(one, "kind");
    table.Text(0, Field(one, "name"));
    table.Text(1, kind == "login"  ? "its login"
                  : kind == "user" ? "the local user"
                                   : "nothing: a sender address can be forged");
    table.Number(2, Number(one, "failed"));
    table.Number(3, Number(one, "deferred"));
    table.Number(4, Number(one, "delivered"));
  }
}

void WriteAnswers(Html* html, const Json& causes) {
  const Json& answers = At(causes, "answers");
  if (!answers.is_array() || answers.empty()) return;
  html->Put("h2", "What the servers answered");
  for (const Json& one : answers) {
    const std::optional<ReplyClass> known = ParseReplyClass(Field(one, "class"));
    const ReplyClassInfo& info = InfoOf(known.value_or(ReplyClass::kUnclassified));
    const Html::Scope card = html->InAs("section", "card answer");
    {
      const Html::Scope head = html->In("h3");
      html->PutAs("span", "number", absl::StrCat(Number(one, "count") + Number(one, "left_out")));
      html->Text(absl::StrCat(" × ", info.meaning));
    }
    html->PutAs("p", "advice", info.advice);
    const std::string sample = Field(one, "sample");
    if (!sample.empty()) html->Put("code", sample);
    if (Number(one, "count") == 0) html->PutAs("p", "faint", "These do not count.");
  }
}

void WriteMessages(Html* html, const Visitor& visitor, const std::string& subject) {
  const absl::StatusOr<Json> page = visitor.Get(
      "/subjects/{subject}/attempts", {{"limit", kMessages}, {"recipients", true}}, subject);
  if (!page.ok()) {
    WriteProblem(html, page.status());
    return;
  }
  const Json& rows = At(*page, "items");
  if (rows.empty()) {
    html->PutAs("p", "faint", "No messages are recorded.");
    return;
  }
  WriteDeliveries(html, rows, "Newest messages");
  html->Link(Url("/track").With("subject", subject), "Track delivery: filters, more, CSV");
}

void WriteEvents(Html* html, const Json& why) {
  const Json& events = At(why, "events");
  if (!events.is_array() || events.empty()) return;
  HtmlTable table(html, "What happened to it", {"Time", "What", "By", "Reason"});
  for (const Json& one : events) {
    const Html::Scope row = table.Row();
    {
      const Html::Scope cell = table.Cell(0);
      WriteTime(html, Field(one, "time"));
    }
    table.Text(1, absl::StrCat(Field(one, "change"), Flag(one, "shadow") ? " (only watched)" : ""));
    table.Text(2, Field(one, "by"));
    const std::string rule = Field(one, "rule");
    table.Text(3, rule.empty() ? Field(one, "reason") : absl::StrCat("rule ", rule));
  }
}

void WriteNear(Html* html, const Json& why) {
  const Json& near = At(why, "near");
  if (!near.is_array() || near.empty()) return;
  const Html::Scope line = html->In("p");
  html->Text("Did you mean");
  for (const Json& one : near) {
    if (!one.is_string()) continue;
    html->Text(" ");
    WriteSubject(html, one.get<std::string>());
  }
  html->Text("?");
}

}  // namespace

HttpReply SubjectPage(const Visitor& visitor, const Form& form) {
  const std::string name(absl::StripAsciiWhitespace(form.Get("name")));
  return PageReply(visitor, "/", name.empty() ? "Subject" : name, [&](Html* html) {
    if (!form.Get("done").empty()) WriteDone(html);
    const absl::StatusOr<Json> why = visitor.Get("/subjects/{subject}", {{"history", true}}, name);
    if (!why.ok()) {
      html->Put("h1", "Subject");
      WriteProblem(html, why.status());
      return;
    }
    const std::string subject = Field(*why, "subject");
    WriteHeadLines(html, *why);
    WriteNear(html, *why);
    for (const Json& cause : At(*why, "unchecked")) {
      if (!cause.is_string()) continue;
      const Html::Scope note = html->InAs("p", "note waiting");
      html->Text(absl::StrCat("These counts may be incomplete: ", cause.get<std::string>()));
    }
    WriteActs(html, visitor, *why);
    WriteRules(html, *why);
    WriteDay(html, visitor, *why);
    WriteCulprits(html, At(*why, "causes"));
    WriteAnswers(html, At(*why, "causes"));
    WriteMessages(html, visitor, subject);
    WriteEvents(html, *why);
  });
}

}  // namespace deferd
