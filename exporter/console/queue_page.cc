#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "exporter/console/pages.h"
#include "policy/fault.h"
#include "policy/reply/reply_class.h"

namespace deferd {
namespace {

constexpr size_t kMaxShown = 200;
struct Grouping {
  Literal value;
  absl::string_view words;
};
constexpr Grouping kGroupings[] = {
    {"", "single messages"}, {"subject", "owner"}, {"login", "login"}, {"script", "script"},
    {"to", "recipient"},     {"reason", "reason"}, {"age", "age"}};

void WriteFilters(Html* html, const Form& form) {
  const Html::Scope box = html->InForm("get", Url("/queue"), {{"class", "card filters"}});
  const Html::Scope grid = html->InAs("div", "fields");
  WriteInput(html, "subject", "Owner", form.Get("subject"), {.placeholder = "example.com"});
  WriteInput(html, "sender", "From", form.Get("sender"));
  {
    const Html::Scope field = html->InAs("label", "field");
    html->Put("span", "Count by");
    const Html::Scope select = html->In("select", {{"name", "by"}});
    for (const auto& [value, words] : kGroupings) {
      Attributes attributes = {{"value", value.text()}};
      if (form.Get("by") == value.text()) attributes.push_back({"selected", ""});
      html->Put("option", words, attributes);
    }
  }
  {
    const Html::Scope label = html->InAs("label", "check");
    Attributes attributes = {{"type", "checkbox"}, {"name", "held"}, {"value", "true"}};
    if (!form.Get("held").empty()) attributes.push_back({"checked", ""});
    html->Void("input", attributes);
    html->Put("span", "Only held messages");
  }
  const Html::Scope buttons = html->InAs("div", "buttons");
  html->Put("button", "Show");
}

// What waits, of whom, and what ends the wait.
void WriteHeld(Html* html, const Json& held, const Json& blocks) {
  if (held.empty()) return;
  HtmlTable table(html, "Held mail", {"Owner", "#Messages", "Goes"});
  for (const Json& one : held) {
    const Html::Scope row = table.Row();
    const std::string subject = Field(one, "subject");
    {
      const Html::Scope cell = table.Cell(0);
      if (subject.empty()) {
        html->Text("unknown");
      } else {
        html->Link(Url("/queue").With("subject", subject).With("held", "true"), subject);
      }
    }
    table.Number(1, Number(one, "messages"));
    const Html::Scope cell = table.Cell(2);
    if (!Field(one, "waits_for").empty()) {
      html->Text(absl::StrCat("when a person releases it: ", Field(one, "waits_for")));
      continue;
    }
    if (!Flag(one, "blocked")) {
      html->Text("now, in portions");
      continue;
    }
    html->Text("when its block ends");
    for (const Json& block : blocks) {
      if (Field(block, "subject") != subject || Flag(block, "shadow")) continue;
      html->Text(Flag(block, "permanent") ? ": a person unblocks it" : ": ");
      if (!Flag(block, "permanent")) WriteTime(html, Field(block, "until"));
    }
  }
}

std::string GroupName(const std::string& by, const std::string& name) {
  if (by != "reason") return name.empty() ? "–" : name;
  if (name.empty()) return "not tried yet";
  if (name == "held") return "held by deferd";
  const std::optional<ReplyClass> known = ParseReplyClass(name);
  return known.has_value() ? std::string(WordsOf(*known).reason) : name;
}

void WriteGroups(Html* html, const Json& groups, const std::string& by) {
  HtmlTable table(html, "Queued messages",
                  {by == "age"      ? "Age"
                   : by == "reason" ? "Reason"
                                    : "Name",
                   "#Messages", "#Held"});
  for (const Json& one : groups) {
    const Html::Scope row = table.Row();
    const std::string name = Field(one, "name");
    {
      const Html::Scope cell = table.Cell(0);
      if (by == "subject") {
        WriteSubject(html, name);
      } else {
        html->Text(absl::string_view(GroupName(by, name)));
      }
    }
    table.Number(1, Number(one, "messages"));
    table.Number(2, Number(one, "held"));
  }
}

void WriteMessages(Html* html, const Json& messages) {
  HtmlTable table(html,
                  messages.size() > kMaxShown
                      ? absl::StrCat("The first ", kMaxShown, " of ", messages.size(), " messages")
                      : absl::StrCat(messages.size(), " messages"),
                  {"Message", "State", "Arrived", "Owner", "From", "To"});
  size_t shown = 0;
  for (const Json& one : messages) {
    if (++shown > kMaxShown) break;
    const Html::Scope row = table.Row();
    {
      const Html::Scope cell = table.Cell(0);
      html->Link(MessageUrl(Field(one, "id")), Field(one, "id"));
    }
    {
      const Html::Scope cell = table.Cell(1);
      WriteState(html, Field(one, "state"));
    }
    {
      const Html::Scope cell = table.Cell(2);
      WriteTime(html, Field(one, "arrival"));
    }
    {
      const Html::Scope cell = table.Cell(3);
      WriteSubject(html, Field(one, "subject"));
    }
    table.Text(4, Field(one, "sender"));
    const Json& recipients = At(one, "recipients");
    std::string to = recipients.is_array() && !recipients.empty() && recipients[0].is_string()
                         ? recipients[0].get<std::string>()
                         : "";
    if (recipients.size() > 1) absl::StrAppend(&to, " and ", recipients.size() - 1, " more");
    table.Text(5, to);
  }
}

void WriteFlush(Html* html, const Visitor& visitor) {
  if (!visitor.May("POST", "/queue/flush")) return;
  const Html::Scope form = html->InForm("post", Url("/act"), {{"class", "buttons"}});
  WriteCsrf(html, visitor);
  WriteHidden(html, "do", "flush");
  html->Put("button", "Try all now");
  html->PutAs("span", "faint", "All queued messages that are not held.");
}

// What a release would send, before it is done.
void WriteReleaseOf(Html* html, const Visitor& visitor, const std::string& subject) {
  if (subject.empty() || !visitor.May("POST", "/queue/release")) return;
  const absl::StatusOr<Json> would = visitor.Get("/queue", {{"subject", subject}, {"held", true}});
  if (!would.ok() || would->empty()) return;
  const Html::Scope form = html->InForm("post", Url("/act"), {{"class", "buttons"}});
  WriteCsrf(html, visitor);
  WriteHidden(html, "do", "release");
  WriteHidden(html, "subject", subject);
  html->Put("button", absl::StrCat("Release ", would->size(), " held"));
  html->PutAs("span", "faint",
              absl::StrCat("Sends the held mail of ", subject, "; a block of it stays."));
}

}  // namespace

HttpReply QueuePage(const Visitor& visitor, const Form& form) {
  return PageReply(visitor, "/queue", "Queue", [&](Html* html) {
    html->Put("h1", "Queue");
    if (!form.Get("done").empty()) WriteDone(html);
    WriteFilters(html, form);
    const std::string by = form.Get("by");
    Json args = Json::object();
    for (const char* name : {"subject", "sender", "by"}) {
      if (!form.Get(name).empty()) args[name] = form.Get(name);
    }
    if (!form.Get("held").empty()) args["held"] = true;
    const absl::StatusOr<Json> list = visitor.Get("/queue", args);
    if (!list.ok()) {
      WriteProblem(html, list.status());
      return;
    }
    const absl::StatusOr<Json> status = visitor.Get("/status");
    const absl::StatusOr<Json> blocks = visitor.Get("/blocks");
    if (status.ok() && blocks.ok()) WriteHeld(html, At(At(*status, "queue"), "held"), *blocks);
    if (list->empty()) {
      html->PutAs("p", "faint", "Nothing is queued that fits.");
      return;
    }
    WriteReleaseOf(html, visitor, form.Get("subject"));
    if (by.empty()) {
      WriteMessages(html, *list);
    } else {
      WriteGroups(html, *list, by);
    }
    WriteFlush(html, visitor);
  });
}

}  // namespace deferd
