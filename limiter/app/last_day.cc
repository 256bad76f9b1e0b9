#include "limiter/app/last_day.h"

#include <utility>

#include "limiter/ctl/ledger_input.h"

namespace deferd {

absl::StatusOr<LastDay::Counted> LastDay::Count(const std::shared_ptr<const Policy>& before,
                                                const std::shared_ptr<const Policy>& after,
                                                PolicyModes modes) const {
  ReplayOptions options;
  options.policy = before;
  options.lists = *lists;
  options.lists.local = true;  // what the ledger gives did count
  LedgerInput ledger([&](const Json& request) { return Track(search, request, now); },
                     now - absl::Hours(24), now);
  bool whole = true;
  absl::StatusOr<Json> diff = DiffPolicies(
      options, after,
      [&](EventBatch* batch) -> absl::StatusOr<bool> {
        whole = !out_of_time();
        if (whole) return ledger.Next(batch);
        batch->Clear();
        return false;
      },
      modes);
  if (!diff.ok()) return diff.status();
  return Counted{*std::move(diff), whole};
}

}  // namespace deferd
