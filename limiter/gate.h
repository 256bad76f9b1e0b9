// The answer to a question: a look into the case table, nothing else.
//
// Used by every MTA's hook and by `deferctl check`, so a person sees what an MTA would be told. It
// does no counting, waits for nothing but the case table's short lock, and is safe from any thread.

#ifndef DEFERD_LIMITER_GATE_H_
#define DEFERD_LIMITER_GATE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/types/span.h"
#include "limiter/case.h"
#include "limiter/case_table.h"
#include "limiter/freshness.h"
#include "limiter/limiter.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "policy/identity.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

struct GateAnswer {
  Verdict verdict = Verdict::kPass;
  bool unchecked = false;     // a pass that deferd cannot vouch for
  std::string text;           // for the sender; empty for a pass
  std::optional<Case> cause;  // the case that decided
};

class Gate {
 public:
  // `cases`, `freshness` and `clock` must outlive it.
  Gate(const CaseTable* cases, const Freshness* freshness, const Clock* clock, Settings settings);

  void SetSettings(Settings settings);

  // The strictest answer of all subjects that the identity is charged to.
  GateAnswer Ask(const Identity& identity, Source source) const;
  GateAnswer Ask(const Subject& subject, Source source) const;

 private:
  Settings settings() const;
  GateAnswer Judge(const Settings& settings, absl::Span<const Charged> charged,
                   Source source) const;

  const CaseTable* const cases_;
  const Freshness* const freshness_;
  const Clock* const clock_;
  mutable Mutex mutex_;
  Settings settings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_GATE_H_
