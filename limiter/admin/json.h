// JSON as deferd writes it: values of the limiter in the shapes that scripts rely on.
//
// Times are RFC 3339 UTC. Text from logs may hold any bytes: Dump replaces what is no UTF-8, and
// writes control characters, those of a terminal and of bidirectional text too, as \uXXXX.

#ifndef DEFERD_LIMITER_ADMIN_JSON_H_
#define DEFERD_LIMITER_ADMIN_JSON_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/judging/incidents.h"
#include "limiter/limiter.h"
#include "nlohmann/json.hpp"
#include "policy/counts.h"

namespace deferd {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json);        // one line
std::string DumpPretty(const Json& json);  // indented, with LF

std::string FormatUtc(absl::Time t);  // "2026-11-22T10:15:04Z", with a fraction if it has one

Json CountsJson(const Counts& counts);  // delivered deferred failed bad percent
Json CaseJson(const Case& record);
Json CaseEventJson(const CaseEvent& event);
Json OverruledJson(const PersonsWord& word);  // as an event
// Open ones, and with `ended` those that ended lately.
Json IncidentsJson(const std::vector<Incident>& incidents, bool ended);
Json SubjectCountsJson(const SubjectCounts& counts);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_JSON_H_
