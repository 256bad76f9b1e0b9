#include "exporter/console/page.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "exporter/console/assets.h"
#include "limiter/ctl/page_text.h"

namespace deferd {
namespace {

struct Entry {
  Literal path;
  absl::string_view name;
  absl::string_view needs;  // a resource that the page cannot do without
};
constexpr Entry kEntries[] = {
    {"/", "Now", "/subjects"},           {"/track", "Track delivery", "/explain"},
    {"/queue", "Queue", "/queue"},       {"/destinations", "Destinations", "/destinations"},
    {"/explain", "Explain", "/explain"}, {"/policy", "Policy", "/policy"}};

void WriteHead(Html* html, absl::string_view title, bool script = true) {
  const Html::Scope head = html->In("head");
  html->Void("meta", {{"charset", "utf-8"}});
  html->Void("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  html->Void("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  html->Put("title", absl::StrCat(title, " · deferd"));
  html->Style(Url("/console.css").With("v", AssetVersion()));
  if (script) html->Script(Url("/console.js").With("v", AssetVersion()));
}

void WriteTop(Html* html, const Visitor& visitor, absl::string_view here) {
  const Html::Scope header = html->InAs("header", "top");
  html->Link(Url("#main"), "Skip to content", {{"class", "skip"}});
  html->Link(Url("/"), "deferd", {{"class", "brand"}});
  {
    const Html::Scope nav = html->In("nav", {{"aria-label", "Pages"}});
    for (const Entry& one : kEntries) {
      if (!visitor.May("GET", one.needs)) continue;
      Attributes attributes;
      if (here == one.path.text()) attributes.push_back({"aria-current", "page"});
      html->Link(Url(one.path), one.name, attributes);
    }
  }
  {
    const Html::Scope form =
        html->InForm("get", Url("/subject"), {{"class", "find"}, {"role", "search"}});
    html->Void("input", {{"type", "search"},
                         {"name", "name"},
                         {"required", ""},
                         {"placeholder", "Domain, login:NAME, case"},
                         {"aria-label", "Find a subject"}});
    html->Put("button", "Find");
  }
  const Html::Scope who = html->InForm("post", Url("/logout"), {{"class", "who"}});
  WriteCsrf(html, visitor);
  html->PutAs("span", "faint",
              absl::StrCat(visitor.token->name, ", ", TokenRoleName(visitor.token->role)));
  html->Put("button", "Log out", {{"class", "quiet"}});
}

HttpReply HtmlReply(int code, Html* html) {
  HttpReply reply{.code = code,
                  .reason = code == 200   ? "OK"
                            : code == 400 ? "Bad Request"
                            : code == 401 ? "Unauthorized"
                            : code == 403 ? "Forbidden"
                            : code == 404 ? "Not Found"
                            : code == 409 ? "Conflict"
                            : code == 202 ? "Accepted"
                            : code == 429 ? "Too Many Requests"
                            : code == 503 ? "Service Unavailable"
                            : code == 504 ? "Gateway Timeout"
                                          : "Error",
                  .type = "text/html; charset=utf-8",
                  .body = html->Take()};
  return reply;
}

}  // namespace

bool Visitor::May(absl::string_view method, absl::string_view path) const {
  return Caller::MayCall(ResourceAt(method, path), *token).ok();
}

absl::StatusOr<Json> Visitor::Get(absl::string_view path, Json args,
                                  const std::string& subject) const {
  return caller->Run(ResourceAt("GET", path), subject, std::move(args), *token);
}

absl::StatusOr<Json> Visitor::Post(absl::string_view path, Json args,
                                   const std::string& subject) const {
  return caller->Run(ResourceAt("POST", path), subject, std::move(args), *token);
}

Url SubjectUrl(absl::string_view subject) { return Url("/subject").With("name", subject); }
Url MessageUrl(absl::string_view id) { return Url("/message").With("id", id); }
Url OwnerUrl(absl::string_view link) { return Url("/case/").Then(link); }

namespace {

// Why the page is not for the visitor, for people; empty: it is.
std::string NotForVisitor(const Visitor& visitor, absl::string_view here) {
  for (const Entry& one : kEntries) {
    if (here != one.path.text() || visitor.May("GET", one.needs)) continue;
    return visitor.token->sees_all()
               ? "Your token's role does not show this page."
               : "This page is about the whole server, and your token is for some domains only. "
                 "Find one of your domains above.";
  }
  return "";
}

}  // namespace

HttpReply PageReply(const Visitor& visitor, absl::string_view here, absl::string_view title,
                    absl::FunctionRef<void(Html*)> content) {
  ShowPagesAs({.width = PageStyle::kWhole});
  ShowTimesIn(visitor.zone, visitor.now);
  const std::string refused = NotForVisitor(visitor, here);
  Html html;
  html.Doctype();
  {
    const Html::Scope root = html.In("html", {{"lang", "en"}});
    WriteHead(&html, title);
    const Html::Scope body = html.In("body");
    WriteTop(&html, visitor, here);
    {
      Attributes attributes = {{"id", "main"}, {"tabindex", "-1"}};
      if (here == "/") attributes.push_back({"data-live", ""});
      const Html::Scope main = html.In("main", attributes);
      if (refused.empty()) {
        content(&html);
      } else {
        html.Put("h1", title);
        WriteProblem(&html, absl::PermissionDeniedError(refused));
      }
    }
    const Html::Scope footer = html.InAs("footer", "faint");
    html.Text(absl::StrCat("Times in ", PageZone(), ". As of "));
    WriteTime(&html, FormatUtc(absl::FromUnixSeconds(absl::ToUnixSeconds(visitor.now))));
  }
  return HtmlReply(200, &html);  // a browser reports any other as an error of the page
}

HttpReply BarePage(int code, absl::string_view title, absl::FunctionRef<void(Html*)> content) {
  Html html;
  html.Doctype();
  {
    const Html::Scope root = html.In("html", {{"lang", "en"}});
    WriteHead(&html, title);
    const Html::Scope body = html.InAs("body", "bare");
    const Html::Scope main = html.In("main", {{"id", "main"}});
    content(&html);
  }
  return HtmlReply(code, &html);
}

HttpReply PlainPage(int code, absl::string_view title, absl::FunctionRef<void(Html*)> content) {
  Html html;
  html.Doctype();
  {
    const Html::Scope root = html.In("html", {{"lang", "en"}});
    WriteHead(&html, title, /*script=*/false);
    const Html::Scope body = html.In("body");
    const Html::Scope main = html.In("main", {{"id", "main"}});
    content(&html);
  }
  return HtmlReply(code, &html);
}

HttpReply RedirectTo(const Url& url) {
  HttpReply reply{.code = 303, .reason = "See Other", .type = "text/plain; charset=utf-8"};
  reply.headers.emplace_back("Location", url.text());
  return reply;
}

void WriteProblem(Html* html, const absl::Status& status) {
  const Html::Scope box = html->In("p", {{"class", "note bad"}, {"role", "alert"}});
  html->Text(absl::string_view(status.message()));
}

void WriteDone(Html* html) {
  const Html::Scope note = html->In("p", {{"class", "note good"}, {"role", "status"}});
  html->Text("Done. It is recorded in your token's name.");
}

void WriteBannerTitle(Html* html, const WhyLines& head) {
  {
    const Html::Scope title = html->In("h1");
    html->Put("span", head.mark, {{"aria-hidden", "true"}});
    html->Text(absl::StrCat(" ", head.subject, " "));
    html->PutAs("span", "verdict", head.state);
  }
  html->PutAs("p", "more", head.more);
}

StateLook LookOf(absl::string_view state) {
  static constexpr std::pair<absl::string_view, StateLook> kLooks[] = {
      {"delivered", {"good", "✔"}},    {"in progress", {"faint", "…"}},
      {"deferred", {"waiting", "↻"}},  {"failed", {"bad", "✖"}},
      {"expired", {"bad", "⊗"}},       {"rejected", {"bad", "⊘"}},
      {"refused by us", {"bad", "■"}}, {"held", {"waiting", "‖"}},
      {"archived", {"good", "▣"}},     {"filtered", {"waiting", "▽"}},
      {"discarded", {"bad", "−"}},     {"blocked", {"bad", "✖"}},
      {"probation", {"waiting", "◌"}}, {"only watched", {"waiting", "◌"}},
      {"closed", {"faint", "·"}},      {"exempt", {"good", "✔"}},
      {"queued", {"waiting", "…"}},    {"frozen", {"waiting", "‖"}},
      {"live", {"good", "✔"}},         {"silent", {"bad", "✖"}}};
  for (const auto& [name, look] : kLooks) {
    if (name == state) return look;
  }
  return {"faint", "·"};
}

void WriteState(Html* html, absl::string_view state) {
  const StateLook look = LookOf(state);
  const Html::Scope badge =
      html->In("span", {{"class", absl::StrCat("state ", look.css_class.text())}});
  html->Put("span", look.mark, {{"aria-hidden", "true"}});
  html->Text(absl::StrCat(" ", state));
}

void WriteTime(Html* html, const std::string& utc) {
  if (utc.empty()) {
    html->Text("–");
    return;
  }
  html->Put("time", BriefTime(utc), {{"datetime", utc}, {"title", ZonedTime(utc)}});
}

void WriteNumber(Html* html, int64_t number) { html->Text(number); }

void WriteSubject(Html* html, const std::string& subject) {
  if (subject.empty()) {
    html->Text("–");
    return;
  }
  html->Link(SubjectUrl(subject), subject);
}

HtmlTable::HtmlTable(Html* html, absl::string_view caption,
                     const std::vector<absl::string_view>& columns)
    : html_(html), wrap_(html->InAs("div", "table")), table_(html->In("table")), body_([&] {
        html->Put("caption", caption);
        {
          const Html::Scope head = html->In("thead");
          const Html::Scope row = html->In("tr");
          for (absl::string_view name : columns) {
            const bool number = absl::ConsumePrefix(&name, "#");
            names_.emplace_back(name);
            numbers_.push_back(number);
            Attributes attributes = {{"scope", "col"}};
            if (number) attributes.push_back({"class", "number"});
            html->Put("th", name, attributes);
          }
        }
        return html->In("tbody");
      }()) {}

Html::Scope HtmlTable::Cell(size_t column) {
  Attributes attributes = {{"data-label", names_[column]}};
  if (numbers_[column]) attributes.push_back({"class", "number"});
  return html_->In("td", attributes);
}

void HtmlTable::Text(size_t column, absl::string_view text) {
  const Html::Scope cell = Cell(column);
  html_->Text(text.empty() ? "–" : text);
}

void HtmlTable::Number(size_t column, int64_t number) {
  const Html::Scope cell = Cell(column);
  html_->Text(number);
}

void WriteFact(Html* html, absl::string_view name, const std::string& text) {
  if (text.empty()) return;
  html->Put("dt", name);
  html->Put("dd", text);
}

void WriteCsrf(Html* html, const Visitor& visitor) { WriteHidden(html, "csrf", visitor.csrf); }

void WriteHidden(Html* html, absl::string_view name, absl::string_view value) {
  html->Void("input", {{"type", "hidden"}, {"name", name}, {"value", value}});
}

void WriteInput(Html* html, Literal name, absl::string_view label, absl::string_view value,
                const InputOptions& options) {
  const Html::Scope field = html->In("label", {{"class", "field"}});
  html->Put("span", label);
  Attributes attributes = {{"type", options.type.text()}, {"name", name.text()}, {"value", value}};
  if (!options.placeholder.empty()) attributes.push_back({"placeholder", options.placeholder});
  if (options.required) attributes.push_back({"required", ""});
  html->Void("input", attributes);
}

}  // namespace deferd
