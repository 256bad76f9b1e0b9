#include "limiter/ctl/exempt_verbs.h"

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

struct ExemptArguments {
  std::string subject, reason, length, until;
};

}  // namespace

std::string ExemptionsPage(const Json& list) {
  if (list.empty()) return "no exemptions\n";
  std::vector<Row> rows;
  for (const Json& one : list) {
    const std::string until = Field(one, "until");
    rows.push_back({{Field(one, "subject"), until.empty() ? "removed" : BriefTime(until),
                     ExempterOf(one), Field(one, "reason")},
                    Look::kPlain});
  }
  std::vector<Column> columns(4);
  columns[0] = {.head = "WHO", .least = 20};
  columns[1].head = "UNTIL";
  columns[2].head = "BY";
  columns[3] = {.head = "REASON", .below = true};
  return Table(std::move(columns), rows);
}

std::string ExemptedPage(const Json& exemption) {
  return absl::StrCat(
      Field(exemption, "subject"), ": ", ExemptWords(exemption), "\n",
      Wrapped("  ",
              "counted and shown as before; no rule blocks it, and a rule's block of it has "
              "ended"),
      NotSaved(exemption));
}

std::string ExemptionEndedPage(const Json& exemption) {
  return absl::StrCat(Field(exemption, "subject"), ": exempt no more\n",
                      Wrapped("  ",
                              "it was counted all the while: if it is over a limit, its next "
                              "failure blocks it"),
                      NotSaved(exemption));
}

void AddExemptVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<ExemptArguments>();
  CLI::App* exempt =
      app->add_subcommand("exempt", "exempt subjects from all rules: add, remove, list");
  exempt->fallthrough();
  exempt->require_subcommand(1);
  const auto verb = [&](const char* name, const char* help, std::function<Json()> request,
                        std::string (*page)(const Json&)) {
    return AddVerb(exempt, name, help, DaemonVerb(options, "exempt", std::move(request), page),
                   chosen);
  };
  constexpr char kWho[] = "example.com, \"*.example.com\", login:bob@example.com, tag:NAME ...";
  CLI::App* add = verb(
      "add", "no rule blocks it; it is still counted and shown",
      [args] {
        return Json{{"do", "add"},
                    {"subject", args->subject},
                    {"reason", args->reason},
                    {"for", args->length},
                    {"until", MeantTime(args->until)}};
      },
      ExemptedPage);
  add->add_option("WHO", args->subject, kWho)->required();
  add->add_option("--reason", args->reason, "recorded with the exemption")->required();
  CLI::Option* length =
      add->add_option("--for", args->length, "duration: 2h, 30d; default: until it is removed");
  add->add_option("--until", args->until, "a day, or \"2027-01-31 08:00\"")->excludes(length);
  CLI::App* remove = verb(
      "remove", "end a person's exemption",
      [args] {
        return Json{{"do", "remove"}, {"subject", args->subject}, {"reason", args->reason}};
      },
      ExemptionEndedPage);
  remove->add_option("WHO", args->subject, kWho)->required();
  remove->add_option("--reason", args->reason, "recorded with its end");
  verb(
      "list", "who is exempt, by people and by the policy",
      [] {
        return Json{{"do", "list"}};
      },
      ExemptionsPage);
}

}  // namespace deferd
