#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "exporter/console/delivery_table.h"
#include "exporter/console/pages.h"
#include "policy/reply/reply_class.h"

namespace deferd {
namespace {

constexpr int64_t kRows = 100;

struct Filter {
  Literal name;
  absl::string_view label;
  absl::string_view placeholder;
};
// Those that `track` knows under the same name.
constexpr Filter kFilters[] = {
    {"sender", "From", "bob@example.com or @example.com"},
    {"recipient", "To", "anna@example.org or @example.org"},
    {"code", "Code", "550, 5.7.1"},
    {"mail_subject", "Subject: line contains", ""},
    {"host", "Receiving server", "mx.example.org"},
    {"id", "Message id", ""},
};

struct Check {
  Literal value;
  absl::string_view label;
};
constexpr Check kOutcomes[] = {{"delivered", "Successes"}, {"deferred", "Deferred"},
                               {"failed", "Failures"},     {"in-progress", "In progress"},
                               {"blocked", "Blocked"},     {"filtered", "Filtered"},
                               {"rejected", "Rejected"},   {"archived", "Archived"}};

struct Option {
  Literal value;
  absl::string_view label;
};
constexpr Option kSince[] = {
    {"1h", "the last hour"}, {"24h", "the last day"}, {"72h", "3 days"}, {"168h", "7 days"}};

// A form writes 2026-11-29T10:00, in the visitor's zone.
std::string TimeOf(const std::string& text, absl::TimeZone zone) {
  absl::Time time;
  for (const char* form : {"%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"}) {
    if (absl::ParseTime(form, text, zone, &time, nullptr)) return FormatUtc(time);
  }
  return text;
}

// The arguments of `track` that the form means.
Json ArgsOf(const Visitor& visitor, const Form& form) {
  Json args = {{"limit", kRows}, {"recipients", true}};
  for (const Filter& one : kFilters) {
    const std::string value(absl::StripAsciiWhitespace(form.Get(one.name.text())));
    if (!value.empty()) args[one.name.text()] = value;
  }
  if (!form.Get("class").empty()) args["class"] = form.Get("class");
  const std::string from = form.Get("from"), until = form.Get("until");
  args["since"] = !from.empty()               ? TimeOf(from, visitor.zone)
                  : form.Get("since").empty() ? std::string("24h")
                                              : form.Get("since");
  if (!until.empty()) args["until"] = TimeOf(until, visitor.zone);
  const std::vector<std::string> outcomes = form.All("outcome");
  if (!outcomes.empty()) args["outcome"] = absl::StrJoin(outcomes, ",");
  int64_t before = 0;
  if (absl::SimpleAtoi(form.Get("before"), &before) && before > 0) args["before"] = before;
  return args;
}

absl::StatusOr<Json> Find(const Visitor& visitor, const Form& form) {
  const std::string subject(absl::StripAsciiWhitespace(form.Get("subject")));
  Json args = ArgsOf(visitor, form);
  absl::StatusOr<Json> page = subject.empty()
                                  ? visitor.Get("/attempts", args)
                                  : visitor.Get("/subjects/{subject}/attempts", args, subject);
  const std::string without =
      absl::AsciiStrToLower(absl::StripAsciiWhitespace(form.Get("without")));
  if (!page.ok() || without.empty()) return page;
  // Whom a person does not want to see: a part of either address.
  Json kept = Json::array();
  for (const Json& row : At(*page, "items")) {
    bool named = false;
    for (const char* side : {"sender", "recipient"}) {
      named |= absl::StrContains(absl::AsciiStrToLower(Field(row, side)), without);
    }
    if (!named) kept.push_back(row);
  }
  (*page)["items"] = std::move(kept);
  return page;
}

void WriteFilters(Html* html, const Visitor& visitor, const Form& form) {
  const Html::Scope box = html->InForm("get", Url("/track"), {{"class", "card filters"}});
  {
    const Html::Scope checks = html->In("fieldset", {{"class", "checks"}});
    html->Put("legend", "Show");
    for (const Check& one : kOutcomes) {
      const Html::Scope label = html->InAs("label", "check");
      Attributes attributes = {
          {"type", "checkbox"}, {"name", "outcome"}, {"value", one.value.text()}};
      if (form.Has("outcome", one.value.text())) attributes.push_back({"checked", ""});
      html->Void("input", attributes);
      html->Put("span", one.label);
    }
  }
  const Html::Scope grid = html->InAs("div", "fields");
  WriteInput(html, "subject", "Charged to", form.Get("subject"),
             {.placeholder = "example.com or login:bob@example.com",
              .required = !visitor.token->sees_all()});
  for (const Filter& one : kFilters) {
    WriteInput(html, one.name, one.label, form.Get(one.name.text()),
               {.placeholder = one.placeholder});
  }
  {
    const Html::Scope field = html->InAs("label", "field");
    html->Put("span", "Kind of answer");
    const Html::Scope select = html->In("select", {{"name", "class"}});
    html->Put("option", "any", {{"value", ""}});
    for (const ReplyClassInfo& info : ReplyClassTable()) {
      Attributes attributes = {{"value", info.name}};
      if (form.Get("class") == std::string(info.name)) attributes.push_back({"selected", ""});
      html->Put("option", absl::StrReplaceAll(info.name, {{"_", " "}}), attributes);
    }
  }
  {
    const Html::Scope field = html->InAs("label", "field");
    html->Put("span", "In");
    const Html::Scope select = html->In("select", {{"name", "since"}});
    const std::string chosen = form.Get("since").empty() ? "24h" : form.Get("since");
    for (const Option& one : kSince) {
      Attributes attributes = {{"value", one.value.text()}};
      if (chosen == one.value.text()) attributes.push_back({"selected", ""});
      html->Put("option", one.label, attributes);
    }
  }
  WriteInput(html, "from", "or from", form.Get("from"), {.type = "datetime-local"});
  WriteInput(html, "until", "until", form.Get("until"), {.type = "datetime-local"});
  WriteInput(html, "without", "Without addresses containing", form.Get("without"), {});
  const Html::Scope buttons = html->InAs("div", "buttons");
  html->Put("button", "Show");
  html->Link(Url("/track"), "Reset", {{"class", "quiet"}});
}

// The same question, for another page of it.
Url Again(Literal path, const Form& form, absl::string_view before) {
  Url url(path);
  for (const Filter& one : kFilters) url.With(one.name, form.Get(one.name.text()));
  for (const Literal name : {Literal("subject"), Literal("class"), Literal("since"),
                             Literal("from"), Literal("until"), Literal("without")}) {
    url.With(name, form.Get(name.text()));
  }
  for (const std::string& outcome : form.All("outcome")) url.With("outcome", outcome);
  return url.With("before", before);
}

void WriteLifeLine(Html* html, const Json& row) {
  const bool decisive = Flag(row, "decisive");
  const Html::Scope item = html->In("li", {{"class", decisive ? "decisive" : ""}});
  {
    const Html::Scope head = html->InAs("p", "life-head");
    WriteTime(html, Field(row, "time"));
    html->Text(" ");
    WriteState(html, StateOfRow(row));
    const std::string recipient = Field(row, "recipient"), original = Field(row, "original");
    if (!recipient.empty()) html->Text(absl::StrCat(" → ", recipient));
    if (!original.empty() && original != recipient) {
      html->PutAs("span", "faint", absl::StrCat(" for ", original));
    }
  }
  const std::string host = Field(row, "host"), ip = Field(row, "ip");
  const std::string server =
      absl::StrCat(host, ip.empty() ? "" : absl::StrCat(host.empty() ? "[" : " [", ip, "]"));
  if (!server.empty()) html->PutAs("p", "faint", server);
  const std::string reply = Field(row, "reply");
  if (!reply.empty()) html->Put("code", reply);
  if (decisive && !Field(row, "meaning").empty()) {
    const Html::Scope words = html->InAs("dl", "explained");
    html->Put("dt", "Meaning");
    html->Put("dd", Field(row, "meaning"));
    html->Put("dt", "Who acts");
    html->Put("dd", Field(row, "side"));
    html->Put("dt", "What to do");
    html->Put("dd", Field(row, "advice"));
  }
  if (!Field(row, "left_out").empty()) {
    html->PutAs("p", "faint", absl::StrCat("Not counted: ", Field(row, "left_out")));
  }
}

// A form that opens: one that asks for an address, or whose button cannot be undone.
void WriteAct(Html* html, const Visitor& visitor, const std::string& id, Literal name,
              absl::string_view button, absl::string_view explained, bool asks) {
  const Html::Scope details = html->InAs("details", "act");
  html->Put("summary", button);
  const Html::Scope form = html->InForm("post", Url("/act"));
  WriteCsrf(html, visitor);
  WriteHidden(html, "do", name.text());
  WriteHidden(html, "id", id);
  html->PutAs("p", "faint", explained);
  if (asks) WriteInput(html, "address", "Address", "", {.type = "email", .required = true});
  html->Put("button", button);
}

// What may be done to a message that is in the queue; nothing if it is not, or nobody can tell.
void WriteActs(Html* html, const Visitor& visitor, const std::string& id) {
  if (!visitor.May("POST", "/queue/requeue")) return;
  const absl::StatusOr<Json> queued = visitor.Get("/queue", {{"id", id}});
  if (!queued.ok() || queued->empty()) return;
  const bool held = Field((*queued)[0], "state") == "held";
  const Html::Scope acts = html->In("section", {{"class", "acts"}, {"aria-label", "Actions"}});
  {
    const Html::Scope form = html->InForm("post", Url("/act"), {{"class", "buttons"}});
    WriteCsrf(html, visitor);
    WriteHidden(html, "id", id);
    html->Put("button", held ? "Release" : "Try again now",
              {{"name", "do"}, {"value", held ? "release" : "requeue"}});
  }
  if (visitor.May("POST", "/queue/redirect")) {
    WriteAct(html, visitor, id, "redirect", "Redirect",
             "Sends the message to this address, in place of the recipients that wait for it.",
             /*asks=*/true);
  }
  if (visitor.May("POST", "/queue/discard")) {
    WriteAct(html, visitor, id, "discard", "Discard",
             "Removes the message from the queue. Nobody is told, and it cannot be undone.",
             /*asks=*/false);
  }
}

}  // namespace

HttpReply TrackPage(const Visitor& visitor, const Form& form) {
  return PageReply(visitor, "/track", "Track delivery", [&](Html* html) {
    html->Put("h1", "Track delivery");
    WriteFilters(html, visitor, form);
    if (!visitor.token->sees_all() && form.Get("subject").empty()) {
      html->PutAs("p", "faint", "Name one of your domains.");
      return;
    }
    const absl::StatusOr<Json> page = Find(visitor, form);
    if (!page.ok()) {
      WriteProblem(html, page.status());
      return;
    }
    const Json& rows = At(*page, "items");
    const std::string next = Field(*page, "next");
    if (rows.empty()) {
      html->PutAs("p", "faint",
                  next.empty() ? "Nothing was found. A longer time, or fewer filters, finds more."
                               : "Nothing on this page; older rows follow.");
    } else {
      WriteDeliveries(html, rows, absl::StrCat(rows.size(), " recipients, newest first"));
    }
    const Html::Scope more = html->InAs("p", "buttons");
    if (!next.empty()) html->Link(Again("/track", form, next), "Older");
    if (!rows.empty()) html->Link(Again("/track.csv", form, ""), "CSV", {{"class", "quiet"}});
  });
}

HttpReply TrackCsv(const Visitor& visitor, const Form& form) {
  const absl::StatusOr<Json> page = Find(visitor, form);
  if (!page.ok()) {
    return {.code = 400,
            .reason = "Bad Request",
            .type = "text/plain; charset=utf-8",
            .body = absl::StrCat(std::string(page.status().message()), "\n")};
  }
  HttpReply reply{.type = "text/csv; charset=utf-8", .body = DeliveriesCsv(At(*page, "items"))};
  reply.headers.emplace_back("Content-Disposition", "attachment; filename=\"deliveries.csv\"");
  return reply;
}

HttpReply MessagePage(const Visitor& visitor, const Form& form) {
  const std::string id = form.Get("id");
  return PageReply(visitor, "/track", absl::StrCat("Message ", id), [&](Html* html) {
    if (!form.Get("done").empty()) WriteDone(html);
    html->Put("h1", absl::StrCat("Message ", id));
    if (id.empty()) {
      html->PutAs("p", "faint", "No message was named.");
      return;
    }
    const absl::StatusOr<Json> page = visitor.Get("/messages", {{"id", id}});
    if (!page.ok()) {
      WriteProblem(html, page.status());
      return;
    }
    const Json& rows = At(*page, "items");
    if (rows.empty()) {
      html->PutAs("p", "faint", "Nothing is recorded of it, or it is not of your domains.");
      return;
    }
    {
      const Json& first = rows[0];
      const Html::Scope facts = html->InAs("dl", "facts");
      const auto fact = [&](absl::string_view name, const std::string& text) {
        if (text.empty()) return;
        html->Put("dt", name);
        html->Put("dd", text);
      };
      const std::string sender = Field(first, "sender");
      fact("From", sender.empty() ? "<>" : sender);
      fact("Login", Field(first, "login"));
      fact("Local user", Field(first, "user"));
      fact("Subject", Field(first, "mail_subject"));
      html->Put("dt", "Charged to");
      const Html::Scope charged = html->In("dd");
      WriteSubject(html, Field(first, "subject"));
    }
    {
      const Html::Scope list = html->InAs("ol", "life");
      for (const Json& row : rows) WriteLifeLine(html, row);
    }
    WriteActs(html, visitor, id);
  });
}

}  // namespace deferd
