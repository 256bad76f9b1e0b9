#include "exporter/api/event_log.h"

#include <algorithm>
#include <utility>

#include "limiter/admin/value_json.h"

namespace deferd {

void EventLog::Add(absl::string_view type, Json event) {
  const absl::Time now = clock_->Now();
  MutexLock lock(&mutex_);
  // Microseconds: fits the numbers of JavaScript, and goes on after a restart.
  last_ = std::max(last_ + 1, absl::ToUnixMicros(now));
  Json whole = {{"seq", last_}, {"time", FormatUtc(now)}, {"type", std::string(type)}};
  whole.update(event);
  events_.push_back(std::move(whole));
  if (events_.size() > kMaxEvents) events_.pop_front();
}

void EventLog::OnCase(CaseChange change, const Case& record) {
  Add("case", {{"subject", record.subject.ToString()},
               {"change", std::string(CaseChangeName(change))},
               {"case", CaseJson(record)}});
}

void EventLog::OnIncident(const Incident& incident) {
  const Json list = IncidentsJson({incident}, /*ended=*/true);
  Add("incident", {{"change", incident.open() ? "opened" : "ended"}, {"incident", list[0]}});
}

void EventLog::OnWarning(const Warning& warning) {
  Add("warning", {{"subject", warning.subject.ToString()},
                  {"rule", warning.rule},
                  {"shadow", warning.shadow},
                  {"bad", warning.bad()},
                  {"min_bad", warning.min_bad},
                  {"percent", warning.percent},
                  {"percent_limit", warning.percent_limit},
                  {"expected", warning.expected.has_value() ? Json(FormatUtc(*warning.expected))
                                                            : Json(nullptr)}});
}

Json EventLog::After(int64_t after) const {
  Json list = Json::array();
  MutexLock lock(&mutex_);
  const auto first = std::partition_point(
      events_.begin(), events_.end(),
      [after](const Json& event) { return event["seq"].get<int64_t>() <= after; });
  for (auto one = first; one != events_.end(); ++one) list.push_back(*one);
  return list;
}

}  // namespace deferd
