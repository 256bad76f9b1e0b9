// What another policy would have done with the last day of mail: the console's "try a change".
//
// Takes the policy's text from a person far away, so it opens no file but those that the policy in
// force names. Counts the ledger as `deferctl policy diff --since 24h` does, for at most kAtMost:
// then what was counted until then is the answer, and it says so. Changes nothing. Runs on the
// thread that calls it, with a ledger reader of its own.

#ifndef DEFERD_LIMITER_APP_POLICY_TRIAL_H_
#define DEFERD_LIMITER_APP_POLICY_TRIAL_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/admin/track.h"
#include "limiter/localrpc/json.h"
#include "policy/charge.h"
#include "policy/policy.h"

namespace deferd {

struct PolicyTrial {
  static constexpr absl::Duration kLookedAt = absl::Hours(24);
  static constexpr absl::Duration kAtMost = absl::Seconds(2);

  const ChargeLists* lists = nullptr;
  LedgerSearch search;
  absl::Time now;
  std::function<bool()> out_of_time;

  // The diff (limiter/ctl/policy_diff.h) with "whole": whether all of the day was counted.
  // InvalidArgument holds the mistakes of `text`, one a line.
  absl::StatusOr<Json> Diff(const std::shared_ptr<const Policy>& before,
                            const std::string& text) const;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_POLICY_TRIAL_H_
