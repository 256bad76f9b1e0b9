#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "exporter/console/chart.h"
#include "exporter/console/pages.h"
#include "limiter/ctl/case_words.h"

namespace deferd {
namespace {

constexpr int64_t kTopSubjects = 15;
constexpr int64_t kNodeSubjects = 100;  // whose counts are shown for each node
constexpr int64_t kSparkSteps = 30;
constexpr absl::Duration kWarned = absl::Hours(1);  // so long a warning is shown

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

// The nodes that share their counts; fewer than two: this one is alone.
std::vector<std::string> NodesOf(const Json& status) {
  std::vector<std::string> names;
  for (const Json& one : At(At(status, "shared"), "nodes")) names.push_back(Field(one, "node"));
  return names;
}

// Whether an entry of `blocks` or `top` counted anything bad on the node; "": on any. What a person
// blocked was counted nowhere, and holds on all.
bool IsOfNode(const Json& entry, const std::string& node) {
  if (node.empty() || Flag(entry, "manual")) return true;
  return Number(At(At(entry, "by_node"), node.c_str()), "bad") > 0;
}

void WriteNodes(Html* html, const Json& status, const std::vector<std::string>& nodes,
                const std::string& chosen, const Json& blocks, const Json& top) {
  {
    const Html::Scope choice = html->In("nav", {{"class", "buttons"}, {"aria-label", "Node"}});
    const Attributes current = {{"aria-current", "true"}};
    html->Link(Url("/"), "All nodes", chosen.empty() ? current : Attributes{});
    for (const std::string& name : nodes) {
      html->Link(Url("/").With("node", name), name, chosen == name ? current : Attributes{});
    }
  }
  HtmlTable table(html, "Nodes",
                  {"Node", "State", "#Blocks", "#Failed", "#Deferred", "#Delivered"});
  for (const Json& one : At(At(status, "shared"), "nodes")) {
    const std::string name = Field(one, "node");
    if (!chosen.empty() && name != chosen) continue;
    int64_t blocked = 0, failed = 0, deferred = 0, delivered = 0;
    for (const Json& block : blocks) {
      blocked += !Flag(block, "exempt") && !Flag(block, "manual") && IsOfNode(block, name) ? 1 : 0;
    }
    for (const Json& subject : top) {
      const Json& counts = At(At(subject, "by_node"), name.c_str());
      failed += Number(counts, "failed");
      deferred += Number(counts, "deferred");
      delivered += Number(counts, "delivered");
    }
    const Html::Scope row = table.Row();
    {
      const Html::Scope cell = table.Cell(0);
      html->Link(Url("/").With("node", name), name);
      if (Flag(one, "here")) html->PutAs("span", "faint", " this node");
    }
    {
      const Html::Scope cell = table.Cell(1);
      WriteState(html, Flag(one, "live") ? "live" : "silent");
    }
    table.Number(2, blocked);
    table.Number(3, failed);
    table.Number(4, deferred);
    table.Number(5, delivered);
  }
}

// Who came near a limit lately and is not blocked, the newest warning of each first.
std::vector<Json> WarnedOf(const Json& events, const Json& blocks) {
  std::set<std::string> done;
  for (const Json& one : blocks) {
    if (!Flag(one, "shadow")) done.insert(Field(one, "subject"));
  }
  std::vector<Json> warned;
  for (auto one = events.rbegin(); one != events.rend(); ++one) {
    if (Field(*one, "type") != "warning" || !done.insert(Field(*one, "subject")).second) continue;
    warned.push_back(*one);
  }
  return warned;
}

void WriteWarned(Html* html, const std::vector<Json>& warned, const Json& history) {
  if (warned.empty()) return;
  HtmlTable table(html, "Near a limit",
                  {"Subject", "Warned", "Rule", "#Count", "#Share", "Expected", "Last hour"});
  for (const Json& one : warned) {
    const Html::Scope row = table.Row();
    const std::string subject = Field(one, "subject");
    {
      const Html::Scope cell = table.Cell(0);
      WriteSubject(html, subject);
    }
    {
      const Html::Scope cell = table.Cell(1);
      WriteTime(html, Field(one, "time"));
    }
    table.Text(2, absl::StrCat(Field(one, "rule"), Flag(one, "shadow") ? " (only watched)" : ""));
    table.Text(3, absl::StrCat(Number(one, "bad"), " of ", Number(one, "min_bad")));
    table.Text(4, Number(one, "percent_limit") > 0 ? absl::StrCat(Number(one, "percent"), "% of ",
                                                                  Number(one, "percent_limit"), "%")
                                                   : "");
    {
      const Html::Scope cell = table.Cell(5);
      WriteTime(html, Field(one, "expected"));
    }
    const Html::Scope cell = table.Cell(6);
    WriteSparkline(html, SeriesOf(history, subject));
  }
}

void WriteBlocks(Html* html, const Json& blocks, const Json& history, const std::string& node) {
  HtmlTable table(html, "Blocked", {"Subject", "State", "Since", "Until", "Why", "Last hour"});
  for (const Json& one : blocks) {
    if (Flag(one, "exempt") || !IsOfNode(one, node)) continue;
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

void WriteTop(Html* html, const Json& top, const Json& history, const std::string& node) {
  HtmlTable table(html, "Most failed and deferred in the last hour",
                  {"Subject", "#Failed", "#Deferred", "#Delivered", "#Share", "Last hour"});
  int64_t shown = 0;
  for (const Json& one : top) {
    const Json& counts = node.empty() ? one : At(At(one, "by_node"), node.c_str());
    if (Number(counts, "bad") == 0) continue;
    if (++shown > kTopSubjects) break;
    const Html::Scope row = table.Row();
    const std::string subject = Field(one, "subject");
    {
      const Html::Scope cell = table.Cell(0);
      WriteSubject(html, subject);
    }
    table.Number(1, Number(counts, "failed"));
    table.Number(2, Number(counts, "deferred"));
    table.Number(3, Number(counts, "delivered"));
    table.Text(4, absl::StrCat(Number(counts, "percent"), "%"));
    const Html::Scope cell = table.Cell(5);
    WriteSparkline(html, SeriesOf(history, subject));
  }
}

bool HasBad(const Json& top, const std::string& node) {
  for (const Json& one : top) {
    if (Number(one, "bad") > 0 && IsOfNode(one, node)) return true;
  }
  return false;
}

bool HasBlock(const Json& blocks, const std::string& node) {
  for (const Json& one : blocks) {
    if (!Flag(one, "exempt") && IsOfNode(one, node)) return true;
  }
  return false;
}

}  // namespace

HttpReply NowPage(const Visitor& visitor, const Form& form) {
  return PageReply(visitor, "/", "Now", [&](Html* html) {
    html->Put("h1", "Now");
    Json status = Json::object();
    if (visitor.May("GET", "/status")) {
      absl::StatusOr<Json> answer = visitor.Get("/status");
      if (answer.ok()) {
        status = *std::move(answer);
        WriteNeeds(html, status);
      } else {
        WriteProblem(html, answer.status());
      }
    }
    const std::vector<std::string> nodes = NodesOf(status);
    const bool several = nodes.size() > 1;
    const std::string node =
        several && absl::c_linear_search(nodes, form.Get("node")) ? form.Get("node") : "";
    Json args = {{"limit", several ? kNodeSubjects : kTopSubjects}};
    if (several) args["nodes"] = true;
    const absl::StatusOr<Json> blocks = visitor.Get("/blocks");
    const absl::StatusOr<Json> top = visitor.Get("/subjects", std::move(args));
    const absl::StatusOr<Json> history =
        visitor.Get("/history", {{"since", "1h"}, {"steps", kSparkSteps}, {"by", "subject"}});
    const absl::StatusOr<Json> events =
        visitor.Get("/events", {{"after", absl::ToUnixMicros(visitor.now - kWarned)}});
    const Json none = Json::object();
    const Json& hour = history.ok() ? *history : none;
    if (several && blocks.ok() && top.ok()) {
      WriteNodes(html, status, nodes, node, *blocks, *top);
    }
    if (!blocks.ok()) {
      WriteProblem(html, blocks.status());
    } else if (!HasBlock(*blocks, node)) {
      html->Put("h2", "Blocked");
      html->PutAs("p", "faint", "Nobody is blocked.");
    } else {
      WriteBlocks(html, *blocks, hour, node);
    }
    if (events.ok() && blocks.ok()) WriteWarned(html, WarnedOf(*events, *blocks), hour);
    if (!top.ok()) {
      WriteProblem(html, top.status());
    } else if (HasBad(*top, node)) {
      WriteTop(html, *top, hour, node);
    } else {
      html->PutAs("p", "faint", "Nothing failed or was deferred in the last hour.");
    }
  });
}

}  // namespace deferd
