// `deferctl policy diff`: what another policy would have done with the same mail.
//
// The logs are read once; two limiters, each with its own policy, count every batch. Both are taken
// in mode enforce, since what a policy in shadow would do is the question (the guard of reloads
// asks another one); rules that are in shadow by themselves block nobody in either.

#ifndef DEFERD_LIMITER_CTL_POLICY_DIFF_H_
#define DEFERD_LIMITER_CTL_POLICY_DIFF_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "limiter/ctl/replay.h"
#include "limiter/localrpc/json.h"
#include "policy/attempt.h"
#include "policy/policy.h"

namespace deferd {

// What differs between the two as they are written: [{name, change}], change "new", "gone",
// "changed"; other keys stand as a rule without a name.
Json RuleChanges(const Policy& before, const Policy& after);

// Gives the next events; false: these were the last.
using NextEvents = std::function<absl::StatusOr<bool>(EventBatch* batch)>;

// {old, new, rules, attempts, subjects [{subject, change, old, new, message}], newly_blocked,
// newly_free, longer, shorter, judged, altered_percent}. `options` has the old policy; without
// paths nothing is replayed. Errors are Replay's.
absl::StatusOr<Json> DiffPolicies(const ReplayOptions& options,
                                  const std::shared_ptr<const Policy>& after);
// Which mode both are taken in: what would be blocked if both enforced, or what really is.
enum class PolicyModes { kEnforce, kAsWritten };
// The same of `next` in place of the paths; empty: nothing is replayed.
absl::StatusOr<Json> DiffPolicies(const ReplayOptions& options,
                                  const std::shared_ptr<const Policy>& after,
                                  const NextEvents& next,
                                  PolicyModes modes = PolicyModes::kEnforce);

std::string PolicyDiffPage(const Json& diff);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_POLICY_DIFF_H_
