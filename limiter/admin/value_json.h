// Values of the limiter as JSON, in the shapes that scripts rely on. Pure.

#ifndef DEFERD_LIMITER_ADMIN_VALUE_JSON_H_
#define DEFERD_LIMITER_ADMIN_VALUE_JSON_H_

#include <string>
#include <utility>
#include <vector>

#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/judging/incidents.h"
#include "limiter/limiter.h"
#include "limiter/localrpc/json.h"
#include "policy/counts.h"

namespace deferd {

Json CountsJson(const Counts& counts);  // delivered deferred failed bad percent
// An object of counts by node name.
Json ByNodeJson(const std::vector<std::pair<std::string, Counts>>& counts);
Json CaseJson(const Case& record);
Json CaseEventJson(const CaseEvent& event);
Json OverruledJson(const PersonsWord& word);  // as an event
// Open ones, and with `ended` those that ended lately.
Json IncidentsJson(const std::vector<Incident>& incidents, bool ended);
Json SubjectCountsJson(const SubjectCounts& counts);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_VALUE_JSON_H_
