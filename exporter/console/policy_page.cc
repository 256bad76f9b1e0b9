#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "exporter/console/pages.h"

namespace deferd {
namespace {

constexpr size_t kShown = 50;

void WriteInForce(Html* html, const Visitor& visitor, const Json& policy) {
  if (!Field(policy, "error").empty()) {
    const Html::Scope note = html->In("p", {{"class", "note bad"}, {"role", "alert"}});
    html->Text(absl::StrCat("The file is not in force: ", Field(policy, "error")));
  }
  {
    const Html::Scope facts = html->InAs("dl", "facts");
    const std::string path = Field(policy, "path");
    WriteFact(html, "File", path.empty() ? "built in" : path);
    WriteFact(html, "Mode", Field(policy, "mode"));
    html->Put("dt", "In force since");
    const Html::Scope loaded = html->In("dd");
    WriteTime(html, Field(policy, "loaded"));
  }
  if (!visitor.May("POST", "/reload")) return;
  const Html::Scope form = html->InForm("post", Url("/act"), {{"class", "buttons"}});
  WriteCsrf(html, visitor);
  WriteHidden(html, "do", "reload");
  html->Put("button", "Reload");
  html->PutAs("span", "faint", "Reads the file and the lists again.");
}

void WriteTrialForm(Html* html, const Visitor& visitor, const std::string& text) {
  const Html::Scope form = html->InForm("post", Url("/policy"), {{"class", "card trial"}});
  WriteCsrf(html, visitor);
  {
    const Html::Scope field = html->InAs("label", "field");
    html->Put("span", "Change the policy here to see what it would have done with the last day");
    const Html::Scope area =
        html->In("textarea", {{"name", "toml"}, {"rows", 16}, {"spellcheck", "false"}});
    html->Lines(text);
  }
  const Html::Scope buttons = html->InAs("div", "buttons");
  html->Put("button", "Show the difference");
  html->PutAs("span", "faint", "The file stays as it is.");
}

std::string BlockText(const Json& block) {
  return absl::StrCat("rule ", Field(block, "rule"), ": ", Number(block, "count"), " of ",
                      Number(block, "min_bad"), " at ", Number(block, "percent"), "%");
}

void WriteBlocksOf(Html* html, const Json& blocks) {
  if (blocks.empty()) html->Text("–");
  for (const Json& one : blocks) {
    const Html::Scope line = html->InAs("span", "address");
    html->Text(absl::string_view(BlockText(one)));
    html->Text(", ");
    WriteTime(html, Field(one, "since"));
  }
}

void WriteSubjects(Html* html, const Json& subjects) {
  if (subjects.empty()) return;
  HtmlTable table(html,
                  subjects.size() > kShown ? absl::StrCat("The first ", kShown, " of ",
                                                          subjects.size(), " subjects that differ")
                                           : std::string("Subjects that differ"),
                  {"Subject", "Change", "Now", "Then"});
  size_t shown = 0;
  for (const Json& one : subjects) {
    if (++shown > kShown) break;
    const Html::Scope row = table.Row();
    {
      const Html::Scope cell = table.Cell(0);
      WriteSubject(html, Field(one, "subject"));
    }
    table.Text(1, Field(one, "change"));
    {
      const Html::Scope cell = table.Cell(2);
      WriteBlocksOf(html, At(one, "old"));
    }
    const Html::Scope cell = table.Cell(3);
    WriteBlocksOf(html, At(one, "new"));
  }
}

void WriteDiff(Html* html, const Json& diff) {
  html->Put("h2", "What the change would have done");
  {
    const Html::Scope facts = html->InAs("dl", "facts");
    for (const Json& rule : At(diff, "rules")) {
      WriteFact(html, absl::StrCat("Rule ", Field(rule, "name")), Field(rule, "change"));
    }
    if (At(diff, "rules").empty()) WriteFact(html, "Rules", "none differs");
    const std::string before = Field(At(diff, "old"), "mode"),
                      after = Field(At(diff, "new"), "mode");
    if (before != after) {
      WriteFact(html, "Mode",
                absl::StrCat(after, ", now ", before, " (below, both as if enforced)"));
    }
    WriteFact(html, "Looked at",
              absl::StrCat(Number(diff, "attempts"), " attempts of ", Number(diff, "judged"),
                           " subjects", Flag(diff, "whole") ? "" : ": all that fits in 2 seconds"));
    for (const auto& [name, key] :
         {std::pair("Newly blocked", "newly_blocked"), std::pair("Newly free", "newly_free"),
          std::pair("Longer", "longer"), std::pair("Shorter", "shorter")}) {
      WriteFact(html, name, absl::StrCat(Number(diff, key)));
    }
  }
  WriteSubjects(html, At(diff, "subjects"));
}

void WriteMistakes(Html* html, const absl::Status& status) {
  const Html::Scope note = html->In("pre", {{"class", "note bad"}, {"role", "alert"}});
  html->Lines(absl::string_view(status.message()));
}

// `text`: what a person wants to try; empty: nothing.
HttpReply PageWith(const Visitor& visitor, const std::string& text) {
  return PageReply(visitor, "/policy", "Policy", [&](Html* html) {
    html->Put("h1", "Policy");
    const absl::StatusOr<Json> policy = visitor.Get("/policy");
    if (!policy.ok()) {
      WriteProblem(html, policy.status());
      return;
    }
    WriteInForce(html, visitor, *policy);
    // Field() would make one line of it.
    const Json& toml = At(*policy, "toml");
    const std::string in_force = toml.is_string() ? toml.get<std::string>() : "";
    if (!visitor.May("POST", "/policy/diff")) {
      const Html::Scope pre = html->In("pre", {{"class", "card"}, {"tabindex", "0"}});
      html->Lines(in_force);
      return;
    }
    if (!text.empty()) {
      const absl::StatusOr<Json> diff = visitor.Post("/policy/diff", {{"toml", text}});
      if (diff.ok()) {
        WriteDiff(html, *diff);
      } else {
        WriteMistakes(html, diff.status());
      }
    }
    WriteTrialForm(html, visitor, text.empty() ? in_force : text);
  });
}

}  // namespace

HttpReply PolicyPage(const Visitor& visitor, const Form&) { return PageWith(visitor, ""); }

HttpReply TriedPolicyPage(const Visitor& visitor, const Form& form) {
  return PageWith(visitor, absl::StrReplaceAll(form.Get("toml"), {{"\r\n", "\n"}}));
}

}  // namespace deferd
