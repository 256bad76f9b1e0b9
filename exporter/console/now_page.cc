#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/console/chart.h"
#include "exporter/console/pages.h"
#include "limiter/ctl/case_words.h"

namespace deferd {
namespace {

constexpr int64_t kTopSubjects = 15;
constexpr int64_t kSparkSteps = 30;

struct Need {
  std::string what;
  std::string then;  // what to do
  Url where{"/"};
};

void AddHeld(const Json& status, std::vector<Need>* needs) {
  const Json& queue = At(status, "queue");
  if (!Field(queue, "problem").empty()) {
    needs->push_back({absl::StrCat("The mail queue cannot be read: ", Field(queue, "problem")),
                      "Check deferd-queue.", Url("/queue")});
  }
  for (const Json& one : At(queue, "held")) {
    if (Field(one, "waits_for").empty()) continue;
    const std::string subject = Field(one, "subject");
    needs->push_back({absl::StrCat(Number(one, "messages"), " held messages of ",
                                   subject.empty() ? "an unknown sender" : subject,
                                   " wait for a decision: ", Field(one, "waits_for")),
                      "Release them, or keep them.",
                      subject.empty() ? Url("/queue") : SubjectUrl(subject)});
  }
}

std::vector<Need> NeedsOf(const Json& status) {
  std::vector<Need> needs;
  AddHeld(status, &needs);
  for (const Json& one : At(status, "blind")) {
    std::string text = one.is_string() ? one.get<std::string>() : Field(one, "text");
    if (text.empty()) text = Field(one, "what");
    if (!text.empty()) needs.push_back({text, "Run deferctl doctor on the server."});
  }
  for (const Json& cause : At(status, "causes")) {
    if (!cause.is_string()) continue;
    needs.push_back({absl::StrCat("Counts may be incomplete: ", cause.get<std::string>()),
                     "Until then mail passes unchecked. Run deferctl doctor on the server."});
  }
  for (const Json& incident : At(status, "incidents")) {
    const std::string scope = Field(incident, "scope");
    if (scope != "ip" && scope != "server") continue;
    needs.push_back(
        {absl::StrCat(Field(incident, "where"), " refuses this server: ", Field(incident, "reply")),
         "It concerns all senders of this server.", Url("/destinations")});
  }
  const Json& policy = At(status, "policy");
  if (Flag(policy, "stale")) {
    needs.push_back({absl::StrCat("The policy file is not in force: ", Field(policy, "error")),
                     "The last valid policy stays in force until the file is fixed.",
                     Url("/policy")});
  }
  const std::string store = Field(At(status, "store"), "problem");
  if (!store.empty()) {
    needs.push_back({absl::StrCat("The state cannot be stored: ", store),
                     "Check the disk of the server. Mail is not affected."});
  }
  return needs;
}

void WriteNeeds(Html* html, const Json& status) {
  const std::vector<Need> needs = NeedsOf(status);
  const Html::Scope section = html->In("section", {{"aria-label", "What needs a person"}});
  if (needs.empty()) {
    const Html::Scope note = html->InAs("p", "note good");
    html->Put("span", "✔", {{"aria-hidden", "true"}});
    html->Text(" Nothing waits for a person.");
    return;
  }
  html->Put("h2", "Needs a person");
  const Html::Scope list = html->InAs("ul", "needs");
  for (const Need& one : needs) {
    const Html::Scope item = html->InAs("li", "note waiting");
    html->Link(one.where, one.what);
    html->PutAs("p", "faint", one.then);
  }
}

Series SeriesOf(const Json& history, const std::string& subject) {
  const Json& subjects = At(history, "subjects");
  const Json& one = At(subjects, subject.c_str());
  Series series;
  const auto read = [&](const char* name, std::vector<int64_t>* list) {
    for (const Json& number : At(one, name)) {
      if (number.is_number_integer()) list->push_back(number.get<int64_t>());
    }
  };
  read("deferred", &series.deferred);
  read("failed", &series.failed);
  if (series.deferred.empty()) series.deferred.resize(static_cast<size_t>(kSparkSteps));
  return series;
}

void WriteBlocks(Html* html, const Json& blocks, const Json& history) {
  HtmlTable table(html, "Blocked", {"Subject", "State", "Since", "Until", "Why", "Last hour"});
  for (const Json& one : blocks) {
    if (Flag(one, "exempt")) continue;
    const Html::Scope row = table.Row();
    const std::string subject = Field(one, "subject");
    {
      const Html::Scope cell = table.Cell(0);
      WriteSubject(html, subject);
    }
    {
      const Html::Scope cell = table.Cell(1);
      WriteState(html, Flag(one, "shadow") ? "only watched" : Field(one, "state"));
    }
    {
      const Html::Scope cell = table.Cell(2);
      WriteTime(html, Field(one, "since"));
    }
    {
      const Html::Scope cell = table.Cell(3);
      if (Flag(one, "permanent")) {
        html->Text("a person unblocks it");
      } else {
        WriteTime(html, Field(one, "until"));
      }
    }
    table.Text(4, CauseOf(one));
    const Html::Scope cell = table.Cell(5);
    WriteSparkline(html, SeriesOf(history, subject));
  }
}

void WriteTop(Html* html, const Json& top, const Json& history) {
  HtmlTable table(html, "Most failed and deferred in the last hour",
                  {"Subject", "#Failed", "#Deferred", "#Delivered", "#Share", "Last hour"});
  for (const Json& one : top) {
    if (Number(one, "bad") == 0) continue;
    const Html::Scope row = table.Row();
    const std::string subject = Field(one, "subject");
    {
      const Html::Scope cell = table.Cell(0);
      WriteSubject(html, subject);
    }
    table.Number(1, Number(one, "failed"));
    table.Number(2, Number(one, "deferred"));
    table.Number(3, Number(one, "delivered"));
    table.Text(4, absl::StrCat(Number(one, "percent"), "%"));
    const Html::Scope cell = table.Cell(5);
    WriteSparkline(html, SeriesOf(history, subject));
  }
}

bool HasBad(const Json& top) {
  for (const Json& one : top) {
    if (Number(one, "bad") > 0) return true;
  }
  return false;
}

}  // namespace

HttpReply NowPage(const Visitor& visitor, const Form&) {
  return PageReply(visitor, "/", "Now", [&](Html* html) {
    html->Put("h1", "Now");
    if (visitor.May("GET", "/status")) {
      const absl::StatusOr<Json> status = visitor.Get("/status");
      if (status.ok()) {
        WriteNeeds(html, *status);
      } else {
        WriteProblem(html, status.status());
      }
    }
    const absl::StatusOr<Json> blocks = visitor.Get("/blocks");
    const absl::StatusOr<Json> top = visitor.Get("/subjects", {{"limit", kTopSubjects}});
    const absl::StatusOr<Json> history =
        visitor.Get("/history", {{"since", "1h"}, {"steps", kSparkSteps}, {"by", "subject"}});
    const Json none = Json::object();
    const Json& hour = history.ok() ? *history : none;
    if (!blocks.ok()) {
      WriteProblem(html, blocks.status());
    } else if (blocks->empty()) {
      html->Put("h2", "Blocked");
      html->PutAs("p", "faint", "Nobody is blocked.");
    } else {
      WriteBlocks(html, *blocks, hour);
    }
    if (!top.ok()) {
      WriteProblem(html, top.status());
    } else if (HasBad(*top)) {
      WriteTop(html, *top, hour);
    } else {
      html->PutAs("p", "faint", "Nothing failed or was deferred in the last hour.");
    }
  });
}

}  // namespace deferd
