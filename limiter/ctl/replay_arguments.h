// What the command line says of logs to replay, as options: of `replay`, `policy diff` and `policy
// suggest`.

#ifndef DEFERD_LIMITER_CTL_REPLAY_ARGUMENTS_H_
#define DEFERD_LIMITER_CTL_REPLAY_ARGUMENTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/ctl/replay.h"

namespace deferd {

// `format`: "exim", "postfix"; anything else is either. With `config` (a path; empty: none), the
// lists of [charge] and the time zone are that file's. Errors are LoadConfig's.
absl::StatusOr<ReplayOptions> ReplayOptionsFor(const std::string& format,
                                               const std::vector<std::string>& logs,
                                               const std::string& config);

// `--timezone` and `--charge`, which win over the file's; empty: not given. InvalidArgument names
// the option that is wrong.
absl::Status SetZoneAndCharge(const std::string& timezone, const std::string& charge,
                              ReplayOptions* options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_REPLAY_ARGUMENTS_H_
