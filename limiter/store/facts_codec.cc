#include "limiter/store/facts_codec.h"

#include "limiter/store/codec.h"

namespace deferd {

using namespace codec;  // NOLINT: what every codec is written in

std::string FactsText(const LimiterFacts& facts) {
  Json windows = Json::array();
  for (const auto& [length, since] : facts.windows) {
    windows.push_back({absl::ToInt64Seconds(length), Micros(since)});
  }
  Json kinds = Json::array();
  for (const auto& [kind, since] : facts.kinds) {
    kinds.push_back({static_cast<int>(kind), Micros(since)});
  }
  Json json = {{"now", Micros(facts.now)},
               {"last_sweep", Micros(facts.last_sweep)},
               {"case_number", facts.case_number},
               {"windows", std::move(windows)},
               {"kinds", std::move(kinds)},
               {"clock_back_at", Micros(facts.clock_back_at)},
               {"clock_back_by", absl::ToInt64Seconds(facts.clock_back_by)}};
  if (facts.clock_offset.has_value()) {
    json["clock_offset"] = absl::ToInt64Seconds(*facts.clock_offset);
  }
  return Bytes(json);
}

absl::StatusOr<LimiterFacts> ParseFacts(absl::string_view text) {
  return Parse<LimiterFacts>(text, "limiter state", [](const Json& json) {
    LimiterFacts facts;
    facts.now = TimeAt(json, "now", absl::InfinitePast());
    facts.last_sweep = TimeAt(json, "last_sweep", absl::InfinitePast());
    facts.case_number = json.at("case_number").get<int64_t>();
    facts.clock_back_at = TimeAt(json, "clock_back_at", absl::InfinitePast());
    facts.clock_back_by = absl::Seconds(json.value("clock_back_by", int64_t{0}));
    if (const auto offset = json.find("clock_offset"); offset != json.end()) {
      facts.clock_offset = absl::Seconds(offset->get<int64_t>());
    }
    for (const Json& one : json.at("windows")) {
      facts.windows.emplace_back(absl::Seconds(one.at(0).get<int64_t>()),
                                 TimeOf(one.at(1), absl::InfinitePast()));
    }
    for (const Json& one : json.at("kinds")) {
      facts.kinds.emplace_back(EnumOf<SubjectKind>(one.at(0), kSubjectKinds),
                               TimeOf(one.at(1), absl::InfinitePast()));
    }
    return facts;
  });
}

}  // namespace deferd
