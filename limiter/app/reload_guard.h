// Whether a reload may take another policy (reload_guard in deferd.toml).
//
// The last day of the ledger is counted by the policy in force and by the new one, each in its own
// mode; where more of the subjects than allowed are blocked otherwise, the new one is refused. Runs
// on the thread that reloads; nothing that answers waits for it.

#ifndef DEFERD_LIMITER_APP_RELOAD_GUARD_H_
#define DEFERD_LIMITER_APP_RELOAD_GUARD_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/app/last_day.h"
#include "policy/policy.h"

namespace deferd {

struct ReloadGuard {
  // So long it may take; then what was counted until then decides.
  static constexpr absl::Duration kAtMost = absl::Seconds(20);

  double percent = 0;  // of the subjects
  LastDay day;

  // FailedPrecondition names who would be blocked or free. What cannot be counted refuses nothing:
  // `*unknown` says why.
  absl::Status Check(const std::shared_ptr<const Policy>& before,
                     const std::shared_ptr<const Policy>& after, std::string* unknown) const;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_RELOAD_GUARD_H_
