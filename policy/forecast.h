// When a rule will be reached if mail goes on as it did lately. Pure.

#ifndef DEFERD_POLICY_FORECAST_H_
#define DEFERD_POLICY_FORECAST_H_

#include <optional>

#include "absl/time/time.h"
#include "policy/counts.h"
#include "policy/policy.h"

namespace deferd {

// When the rule would trip if the deliveries of the last `over` went on: their counts are added for
// each minute to come. None if that is not within the rule's window.
std::optional<absl::Time> WhenReached(const Rule& rule, const Counts& counts, const Counts& recent,
                                      absl::Duration over, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_POLICY_FORECAST_H_
