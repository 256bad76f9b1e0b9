// What another policy would have done with the last day of mail: the console's "try a change".
//
// Takes the policy's text from a person far away, so it opens no file but those that the policy in
// force names. What was counted within kAtMost is the answer, which says so. Changes nothing.

#ifndef DEFERD_LIMITER_APP_POLICY_TRIAL_H_
#define DEFERD_LIMITER_APP_POLICY_TRIAL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/app/last_day.h"
#include "limiter/localrpc/json.h"
#include "policy/policy.h"

namespace deferd {

struct PolicyTrial {
  static constexpr absl::Duration kAtMost = absl::Seconds(2);

  LastDay day;

  // The diff (limiter/ctl/policy_diff.h) with "whole": whether all of the day was counted.
  // InvalidArgument holds the mistakes of `text`, one a line.
  absl::StatusOr<Json> Diff(const std::shared_ptr<const Policy>& before,
                            const std::string& text) const;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_POLICY_TRIAL_H_
