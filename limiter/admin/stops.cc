#include "limiter/admin/stops.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "limiter/admin/value_json.h"
#include "policy/charge.h"

namespace deferd {

namespace {

// Mail that is held for the subject, for what is part of it, or for what it is part of.
bool Concerns(const ChargeLists& lists, const Subject& held, const Subject& subject,
              const SubjectReport& report) {
  return held == subject || absl::c_linear_search(report.within, held) ||
         (subject.kind == SubjectKind::kDomain && DomainByLists(lists, held) == subject.id) ||
         absl::c_any_of(report.parts, [&](const Case& part) { return part.subject == held; });
}

void AddHeld(const StopParts& parts, const Subject& subject, const SubjectReport& report,
             Json* stops) {
  Json held = Json::array();
  (*stops)["held_problem"] = nullptr;
  (*stops)["held_seen"] = static_cast<bool>(parts.queue);
  (*stops)["postfix_defers"] = parts.postfix_defers && parts.postfix_defers();
  if (parts.queue) {
    const Json queue = parts.queue();
    (*stops)["held_problem"] = queue.value("problem", Json(nullptr));
    const Settings settings = parts.limiter->settings();
    for (const Json& one : queue.value("held", Json::array())) {
      const Json name = one.value("subject", Json(nullptr));
      if (!name.is_string()) continue;  // of nobody that is known
      absl::StatusOr<Subject> of = Subject::Parse(name.get<std::string>());
      if (of.ok() && Concerns(*settings.lists, *of, subject, report)) held.push_back(one);
    }
  }
  (*stops)["held"] = std::move(held);
}

}  // namespace

Json StopsJson(const StopParts& parts, const Subject& subject, const SubjectReport& report) {
  Json stops = {{"state", "ok"}};
  if (parts.gate != nullptr) {
    Json answers = Json::object();
    bool full = false;
    std::vector<Case> causes;
    for (int i = 0; i < kSources; ++i) {
      const auto source = static_cast<Source>(i);
      const GateAnswer answer = parts.gate->Check(subject, source);
      answers[std::string(SourceName(source))] = std::string(VerdictName(answer.verdict));
      full = full || answer.hold_is_full;
      const auto is_it = [&](const Case& one) { return one.id == answer.cause->id; };
      if (answer.cause.has_value() && absl::c_none_of(causes, is_it)) {
        causes.push_back(*answer.cause);
      }
    }
    answers["hold_limit_reached"] = full;
    // Its own first.
    std::stable_partition(causes.begin(), causes.end(),
                          [&](const Case& one) { return one.subject == subject; });
    if (!causes.empty()) stops["state"] = std::string(CaseStateName(causes.front().state));
    Json stopped_by = Json::array();
    for (const Case& one : causes) stopped_by.push_back(CaseJson(one));
    stops["answers"] = std::move(answers);
    stops["stopped_by"] = std::move(stopped_by);
  }
  Json inside = Json::array();
  for (const Case& one : report.parts) inside.push_back(CaseJson(one));
  stops["parts"] = std::move(inside);
  AddHeld(parts, subject, report, &stops);
  return stops;
}

}  // namespace deferd
