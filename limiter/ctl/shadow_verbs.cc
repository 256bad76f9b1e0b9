#include "limiter/ctl/shadow_verbs.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/case_words.h"
#include "limiter/ctl/page_text.h"

namespace deferd {

namespace {

constexpr size_t kShown = 50;

struct ShadowArguments {
  std::string name, reason, since = "7d";
};

std::string CaseText(const Json& one) {
  const std::string verdict = Field(one, "verdict");
  std::string out = absl::StrCat(
      "\n", Field(one, "subject"), verdict.empty() ? "" : absl::StrCat("   ", verdict), "\n",
      Wrapped("  ", absl::StrCat("rule ", Field(one, "rule"), ": ", Number(one, "count"), " ",
                                 CountedWords(one), " of ", Number(one, "of"), " (",
                                 Number(one, "percent"),
                                 "%), would have been told: ", Field(one, "action"))),
      Wrapped("  ",
              absl::StrCat(BriefTime(Field(one, "since")), " to ", BriefTime(Field(one, "until")),
                           Flag(one, "open") ? ", open" : "", ", case ", Field(one, "id"))));
  const Json& sent = At(one, "sent");
  if (sent.is_null()) return out + "  what it sent is not in the ledger\n";
  for (const Json& message : At(sent, "sample")) {
    const std::string title = Field(message, "mail_subject");
    out +=
        Wrapped("  sent: ", absl::StrCat(Field(message, "id"), " from ", Field(message, "sender"),
                                         " to ", Field(message, "recipient"),
                                         title.empty() ? "" : absl::StrCat(", \"", title, "\""),
                                         ": ", Field(message, "reply")));
  }
  const int64_t more = Number(sent, "attempts") - static_cast<int64_t>(At(sent, "sample").size());
  if (more > 0) absl::StrAppend(&out, "  and ", more, " more attempts\n");
  return out;
}

std::string MarkedPage(const Json& mark) {
  return absl::StrCat(Field(mark, "subject"), ": case ", Field(mark, "id"), " is marked ",
                      Field(mark, "verdict"), "\n", NotSaved(mark));
}

}  // namespace

std::string ShadowReportPage(const Json& report) {
  const Json& cases = At(report, "cases");
  if (cases.empty()) {
    return absl::StrCat("rules in shadow would have blocked nobody since ",
                        ZonedMinute(Field(report, "since")), "\n");
  }
  std::vector<Row> rows;
  for (const Json& rule : At(report, "rules")) {
    const Json& share = At(rule, "right_percent");
    rows.push_back(
        {{Field(rule, "rule"), absl::StrCat(Number(rule, "cases")),
          absl::StrCat(Number(rule, "subjects")), absl::StrCat(Number(rule, "right")),
          absl::StrCat(Number(rule, "wrong")),
          share.is_null() ? std::string("-") : absl::StrCat(Number(rule, "right_percent"), "%")},
         Look::kPlain});
  }
  std::string out = absl::StrCat("since ", ZonedMinute(Field(report, "since")), "\n",
                                 Table({{.head = "RULE"},
                                        {.head = "CASES", .right = true},
                                        {.head = "SUBJECTS", .right = true},
                                        {.head = "RIGHT", .right = true},
                                        {.head = "WRONG", .right = true},
                                        {.head = "RATE", .right = true}},
                                       rows));
  size_t shown = 0;
  for (const Json& one : cases) {
    if (++shown > kShown) {
      absl::StrAppend(&out, "\n... and ", cases.size() - kShown, " more (--json has all)\n");
      break;
    }
    out += CaseText(one);
  }
  return absl::StrCat(out, "\nmark what you know: deferctl shadow right CASE, or wrong CASE\n");
}

void AddShadowVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<ShadowArguments>();
  CLI::App* shadow = app->add_subcommand(
      "shadow", "what rules in shadow would have blocked: report, right, wrong");
  shadow->fallthrough();
  shadow->require_subcommand(1);
  const auto verb = [&](const char* name, const char* help, std::function<Json()> request,
                        std::string (*page)(const Json&)) {
    return AddVerb(shadow, name, help, DaemonVerb(options, "shadow", std::move(request), page),
                   chosen);
  };
  verb(
      "report", "who would have been blocked, when, by which rule, and what they sent",
      [args] {
        return Json{{"do", "report"}, {"since", MeantTime(args->since)}};
      },
      ShadowReportPage)
      ->add_option("--since", args->since, "how long ago (7d), or \"2026-11-22 10:00\"")
      ->capture_default_str();
  for (const auto& [name, help] :
       {std::pair("right", "mark a case in shadow: the block would have been right"),
        std::pair("wrong", "mark a case in shadow: the block would have been wrong")}) {
    CLI::App* sub = verb(
        name, help,
        [args, word = std::string(name)] {
          return Json{{"do", word}, {"case", args->name}, {"reason", args->reason}};
        },
        MarkedPage);
    sub->add_option("CASE", args->name, "the id that the report shows, or a subject: its newest")
        ->required();
    sub->add_option("--reason", args->reason, "for deferd's log");
  }
}

}  // namespace deferd
