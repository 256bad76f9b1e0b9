// `deferctl policy suggest`: how many blocks a day each pair of N and X would have made.
//
// The logs are replayed once; each subject's contributions are then judged by every cell of a grid
// of min_bad and percent, in windows of an hour, each on its own. Approximate where rules meet each
// other: nothing of a domain is taken apart for its logins, and a block that goes on is a new one.

#ifndef DEFERD_LIMITER_CTL_POLICY_SUGGEST_H_
#define DEFERD_LIMITER_CTL_POLICY_SUGGEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/ctl/policy_diff.h"
#include "limiter/ctl/replay.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

// {kind, days, attempts, cells [{min_bad, percent, blocks, per_day, subjects, lifted_percent,
// spam_percent}]}: spam_percent is the share of the bad deliveries behind the blocks that were
// refused for content, policy or reputation.
absl::StatusOr<Json> SuggestLimits(const ReplayOptions& options, SubjectKind kind);

// A rule's block that a person ended.
struct LiftedBlock {
  Subject subject;
  absl::Time at;
};
// Of the daemon's verb `blocks`.
std::vector<LiftedBlock> LiftedBlocks(const Json& blocks);
// The same of `next` in place of the paths. With `lifted` each cell has lifted_percent too, of its
// blocks those whose subject a person unblocked within a day; else it is null.
absl::StatusOr<Json> SuggestLimits(const ReplayOptions& options, SubjectKind kind,
                                   const NextEvents& next, const std::vector<LiftedBlock>* lifted);

// A table of blocks a day by N and X, and the same as a plot.
std::string SuggestPage(const Json& suggestion);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_POLICY_SUGGEST_H_
