#include "limiter/app/daemon_report.h"

#include "policy/duration.h"

namespace deferd {

Json SourcesJson(const std::vector<FollowerStatus>& sources) {
  Json list = Json::array();
  for (const FollowerStatus& source : sources) {
    list.push_back(
        {{"path", source.path},
         {"lag_seconds", absl::ToDoubleSeconds(source.lag)},
         {"gaps", source.gaps},
         {"last_gap", source.last_gap == absl::InfinitePast() ? Json(nullptr)
                                                              : Json(FormatUtc(source.last_gap))},
         {"last_stamp", source.last_stamp == absl::InfinitePast()
                            ? Json(nullptr)
                            : Json(FormatUtc(source.last_stamp))},
         {"at_end", source.at_end},
         {"problem", source.problem},
         {"bytes", source.bytes},
         {"open_messages", source.open_messages}});
  }
  return list;
}

Json StoreJson(const Config& config, const StateKeeper::Status& kept,
               const LocalStore::Stats& store) {
  return {
      {"path", config.state_dir},
      {"bytes", store.bytes},
      {"problem", kept.problem},
      {"failing_since", kept.problem.empty() ? Json(nullptr) : Json(FormatUtc(kept.failing_since))},
      {"commits", kept.commits},
      {"ledger",
       {{"enabled", config.ledger.enabled},
        {"rows", store.ledger_rows},
        {"segments", store.segments},
        {"keep", deferd::FormatDuration(config.ledger.keep)},
        {"waiting_rows", kept.waiting_rows},
        {"lost_rows", kept.lost_rows}}}};
}

}  // namespace deferd
