// Answers a query: a lookup in the case table, nothing else.
//
// Every MTA hook and `deferctl check` use it, so a person sees the answer that an MTA would get. It
// does no counting and waits only for short locks: its own, which guards the settings, and those of
// the case table, held mail and sure cases. Safe from any thread.

#ifndef DEFERD_LIMITER_CASES_GATE_H_
#define DEFERD_LIMITER_CASES_GATE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/held_mail.h"
#include "limiter/cases/sure_cases.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "policy/identity.h"
#include "policy/policy.h"
#include "policy/settings.h"
#include "policy/subject.h"

namespace deferd {

struct GateAnswer {
  Verdict verdict = Verdict::kPass;
  bool unchecked = false;     // a pass that deferd cannot vouch for
  std::string text;           // for the sender; empty for a pass
  std::optional<Case> cause;  // the case that decided
  // The verdict if shadow cases were enforced; kPass: the same verdict.
  Verdict shadow = Verdict::kPass;
  std::string shadow_rule;    // the rule of that shadow case
  bool hold_is_full = false;  // rejected because the limit of held messages is reached
};

class Gate {
 public:
  // The pointers must outlive it. Without `held` (null) nothing is known of the queue, and there is
  // no limit to what is held; without `sure` every case is sure enough to discard mail.
  Gate(const CaseTable* cases, const Freshness* freshness, const Clock* clock, Settings settings,
       const HeldMail* held = nullptr, const SureCases* sure = nullptr);

  void SetSettings(Settings settings);
  Settings settings() const;

  // The strictest answer of all subjects that the identity is charged to. `id`: the message's, if
  // it has one already.
  GateAnswer Check(const Identity& identity, Source source, const std::string& id = "") const;
  GateAnswer Check(const Subject& subject, Source source) const;

  // Its evidence is sure enough for what cannot be undone: discarding mail, giving it back.
  bool IsSure(const Case& record) const { return sure_ == nullptr || sure_->IsSure(record); }

  // The case that holds messages of these subjects, regardless of how many are held already.
  std::optional<Case> HeldBy(absl::Span<const Charged> charged, Source source) const;

 private:
  GateAnswer Judge(const Settings& settings, absl::Span<const Charged> charged,
                   Source source) const;
  // The narrowest exemption in force.
  std::optional<Case> ExemptionOf(const Settings& settings, absl::Span<const Charged> charged,
                                  absl::Time now) const;
  // Whether the block applies in spite of the exemption: the narrower of two people's decisions
  // wins. `exemption` is called only if the result depends on it.
  using Exemption = absl::FunctionRef<const std::optional<Case>&()>;
  static bool Stops(const Settings& settings, const Case& block, Exemption exemption);
  // The case's action, but hold instead of discard if its evidence is not sure.
  Verdict VerdictOf(const Case& record, Source source) const;
  bool HeldUpToItsLimit(const Policy& policy, const Subject& subject, Source source) const;

  const CaseTable* const cases_;
  const Freshness* const freshness_;
  const Clock* const clock_;
  const HeldMail* const held_;
  const SureCases* const sure_;
  mutable Mutex mutex_;
  Settings settings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_GATE_H_
