// `deferctl replay`: whole logs through the daemon's own code, without a daemon.
//
// Same readers, same limiter, same policy; only the tally is new. So what replay says about last
// night is what deferd would have done last night.

#ifndef DEFERD_LIMITER_CTL_REPLAY_H_
#define DEFERD_LIMITER_CTL_REPLAY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "policy/charge.h"
#include "policy/policy.h"

namespace deferd {

// kAny: what each file is, is recognised; one may be of both.
enum class LogFormat { kExim, kPostfix, kAny };

struct ReplayOptions {
  LogFormat format = LogFormat::kExim;
  std::vector<std::string> paths;  // read in the order of their first stamps; "-" is standard input
  std::shared_ptr<const Policy> policy;
  ChargeLists lists;
  absl::TimeZone zone = absl::LocalTimeZone();
  bool arrivals = false;     // also for a policy other than `policy` that judges what is sent
  size_t batch_events = 64;  // cannot change the result; small batches stay in the cache
  // Told now and then how much is done, 0 to 1; may be empty.
  std::function<void(double)> progress;
};

// One object: outcomes, lines, attempts, malformed, unattributed, domains and more; `format` is
// whose log it was ("exim", "postfix", "exim and postfix", "none"), `files` the same of each file.
// NotFound and the like name the file; a damaged .gz is DataLoss.
absl::StatusOr<Json> Replay(const ReplayOptions& options);

// It has lines, and nothing in them: another program's log.
bool IsNoSuchLog(const Json& result);

// What a terminal shows of it.
std::string ReplayPage(const Json& result);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_REPLAY_H_
