// Destinations and Explain.

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "exporter/console/pages.h"

namespace deferd {
namespace {

void WriteIncidents(Html* html, const Json& incidents) {
  if (incidents.empty()) return;
  HtmlTable table(html, "Problems that no sender caused",
                  {"Where", "Kind", "Since", "#Attempts", "#Senders", "Answer"});
  for (const Json& one : incidents) {
    const Html::Scope row = table.Row();
    const std::string scope = Field(one, "scope");
    table.Text(0, Field(one, "where"));
    table.Text(1, scope == "ip"       ? "refuses our address"
                  : scope == "server" ? "refuses our server"
                                      : absl::StrReplaceAll(Field(one, "class"), {{"_", " "}}));
    {
      const Html::Scope cell = table.Cell(2);
      WriteTime(html, Field(one, "since"));
    }
    table.Number(3, Number(one, "attempts"));
    table.Number(4, Number(one, "subject_count"));
    table.Text(5, Field(one, "reply"));
  }
}

void WriteOwnRefusals(Html* html, const Json& rows) {
  bool begun = false;
  for (const Json& row : rows) {
    for (const Json& answer : At(row, "answers")) {
      if (!Flag(answer, "names_us")) continue;
      if (!begun) html->Put("h2", "Answers about this server");
      begun = true;
      const Html::Scope card = html->InAs("section", "card answer");
      html->Put("h3", absl::StrCat(Number(answer, "count"), " × ", Field(row, "provider")));
      html->Put("code", Field(answer, "sample"));
      html->Link(Url("/explain").With("text", Field(answer, "sample")), "Explain");
    }
  }
}

void WriteDestinations(Html* html, const Json& rows) {
  HtmlTable table(html, "Receiving organisations, by their servers",
                  {"Organisation", "#Failed", "#Deferred", "#Delivered", "Most often"});
  for (const Json& one : rows) {
    const Html::Scope row = table.Row();
    const std::string name = Field(one, "name"), provider = Field(one, "provider");
    table.Text(
        0, provider == name || provider.empty() ? name : absl::StrCat(provider, " (", name, ")"));
    table.Number(1, Number(one, "failed"));
    table.Number(2, Number(one, "deferred"));
    table.Number(3, Number(one, "delivered"));
    const Json& answers = At(one, "answers");
    table.Text(4, answers.empty() ? ""
                                  : absl::StrCat(Number(answers[0], "count"), " ",
                                                 absl::StrReplaceAll(Field(answers[0], "class"),
                                                                     {{"_", " "}})));
  }
}

}  // namespace

HttpReply DestinationsPage(const Visitor& visitor, const Form& form) {
  return PageReply(visitor, "/destinations", "Destinations", [&](Html* html) {
    html->Put("h1", "Destinations");
    const bool day = form.Get("since") == "24h";
    {
      const Html::Scope choice = html->In("p", {{"class", "buttons"}});
      html->Link(Url("/destinations"), "Last hour",
                 day ? Attributes{} : Attributes{{"aria-current", "true"}});
      html->Link(Url("/destinations").With("since", "24h"), "Last day",
                 day ? Attributes{{"aria-current", "true"}} : Attributes{});
    }
    const absl::StatusOr<Json> incidents = visitor.Get("/incidents");
    if (incidents.ok()) WriteIncidents(html, *incidents);
    const absl::StatusOr<Json> found =
        visitor.Get("/destinations", {{"since", day ? "24h" : "1h"}});
    if (!found.ok()) {
      WriteProblem(html, found.status());
      return;
    }
    const Json& rows = At(*found, "rows");
    if (rows.empty()) {
      html->PutAs("p", "faint", "Nothing was delivered in that time.");
      return;
    }
    WriteOwnRefusals(html, rows);
    WriteDestinations(html, rows);
    if (!Flag(*found, "all")) {
      html->PutAs("p", "faint", "Only the newest attempts of that time were looked at.");
    }
  });
}

HttpReply ExplainPage(const Visitor& visitor, const Form& form) {
  return PageReply(visitor, "/explain", "Explain", [&](Html* html) {
    html->Put("h1", "Explain");
    const std::string text(absl::StripAsciiWhitespace(form.Get("text")));
    {
      const Html::Scope box = html->InForm("get", Url("/explain"), {{"class", "card"}});
      {
        const Html::Scope field = html->InAs("label", "field");
        html->Put("span", "The answer of a mail server, or a status word");
        html->Put("textarea", text,
                  {{"name", "text"},
                   {"rows", 3},
                   {"required", ""},
                   {"placeholder", "550 5.1.1 <anna@example.org>: user unknown"}});
      }
      const Html::Scope buttons = html->InAs("div", "buttons");
      html->Put("button", "Explain");
    }
    if (text.empty()) return;
    const absl::StatusOr<Json> found = visitor.Get("/explain", {{"text", text}});
    if (!found.ok()) {
      WriteProblem(html, found.status());
      return;
    }
    const Json& answer = *found;
    const Html::Scope card = html->InAs("section", "card");
    html->Put("h2", Field(answer, "meaning"));
    const Html::Scope facts = html->InAs("dl", "facts");
    WriteFact(html, "What to do", Field(answer, "advice"));
    WriteFact(html, "Who acts", Field(answer, "side"));
    WriteFact(html, "Tried again",
              Field(answer, "permanence") == "permanent" ? "No: this answer is final."
                                                         : "Yes, by the sending server itself.");
    WriteFact(html, "Code",
              absl::StrCat(Field(answer, "code"), Field(answer, "enhanced").empty() ? "" : " ",
                           Field(answer, "enhanced")));
    WriteFact(html, "Kind", absl::StrReplaceAll(Field(answer, "class"), {{"_", " "}}));
    WriteFact(html, "Provider", Field(answer, "provider"));
    const Json& confidence = At(answer, "confidence");
    if (confidence.is_number() && confidence.get<double>() < 0.5) {
      WriteFact(html, "Certainty", "This is a guess: read the answer itself.");
    }
  });
}

}  // namespace deferd
