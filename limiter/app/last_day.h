// The last day of the ledger, counted by two policies side by side: what `reload_guard` and the
// console's "try a change" look at. As `deferctl policy diff --since 24h` does, but only until
// `out_of_time`. Runs on the thread that calls it, with a ledger reader of its own.

#ifndef DEFERD_LIMITER_APP_LAST_DAY_H_
#define DEFERD_LIMITER_APP_LAST_DAY_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/admin/track.h"
#include "limiter/ctl/policy_diff.h"
#include "limiter/localrpc/json.h"
#include "policy/charge.h"
#include "policy/policy.h"

namespace deferd {

struct LastDay {
  const ChargeLists* lists = nullptr;
  LedgerSearch search;
  absl::Time now;
  std::function<bool()> out_of_time;

  struct Counted {
    Json diff;          // limiter/ctl/policy_diff.h
    bool whole = true;  // false: time was up before the end
  };
  absl::StatusOr<Counted> Count(const std::shared_ptr<const Policy>& before,
                                const std::shared_ptr<const Policy>& after,
                                PolicyModes modes) const;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_LAST_DAY_H_
