// The ledger's attempts as a replay reads them, in the order of time.
//
// Rows are asked for an hour at a time, so that memory holds no more. Only what counted, or was
// left out for its answer, is given: the rest is nobody's under any policy. Not thread-safe.

#ifndef DEFERD_LIMITER_CTL_LEDGER_INPUT_H_
#define DEFERD_LIMITER_CTL_LEDGER_INPUT_H_

#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "policy/attempt.h"

namespace deferd {

class LedgerInput {
 public:
  // Asks the daemon's verb `track`; gives its rows, newest first.
  using Track = std::function<absl::StatusOr<Json>(const Json& request)>;

  LedgerInput(Track track, absl::Time since, absl::Time until)
      : track_(std::move(track)), next_(since), until_(until) {}

  // The next events into `*batch`; false: these were the last.
  absl::StatusOr<bool> Next(EventBatch* batch);

 private:
  const Track track_;
  absl::Time next_;
  const absl::Time until_;
};

// A ledger row, as `track` shows it, as the attempt that it was; false if it is nobody's.
bool AttemptOfRow(const Json& row, Attempt* attempt);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_LEDGER_INPUT_H_
