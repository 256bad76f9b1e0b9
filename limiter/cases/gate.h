// The answer to a question: a look into the case table, nothing else.
//
// Used by every MTA's hook and by `deferctl check`, so a person sees what an MTA would be told. It
// does no counting, waits for nothing but the case table's short lock, and is safe from any thread.

#ifndef DEFERD_LIMITER_CASES_GATE_H_
#define DEFERD_LIMITER_CASES_GATE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
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
  // What cases in shadow would have it be, were they enforced; kPass: no other than it is.
  Verdict shadow = Verdict::kPass;
  bool hold_is_full = false;  // rejected because so much of it is held that the limit is reached
};

class Gate {
 public:
  // The pointers must outlive it. Without `held` (null) nothing is known of the queue, and there is
  // no limit to what is held; without `sure` every case is sure enough to discard mail.
  Gate(const CaseTable* cases, const Freshness* freshness, const Clock* clock, Settings settings,
       const HeldMail* held = nullptr, const SureCases* sure = nullptr);

  void SetSettings(Settings settings);

  // The strictest answer of all subjects that the identity is charged to. `id`: the message's, if
  // it has one already.
  GateAnswer Check(const Identity& identity, Source source, const std::string& id = "") const;
  GateAnswer Check(const Subject& subject, Source source) const;

  // Its evidence is sure enough for what cannot be undone: discarding mail, giving it back.
  bool IsSure(const Case& record) const { return sure_ == nullptr || sure_->IsSure(record); }

  // The case that asks for a message of these subjects to be held, however much is held already.
  std::optional<Case> HeldBy(absl::Span<const Charged> charged, Source source) const;

 private:
  Settings settings() const;
  GateAnswer Judge(const Settings& settings, absl::Span<const Charged> charged,
                   Source source) const;
  // The exemption in force that says most narrowly whom it means.
  std::optional<Case> ExemptionOf(const Settings& settings, absl::Span<const Charged> charged,
                                  absl::Time now) const;
  // The block of the subject that stops mail of somebody with this exemption: of people's words the
  // narrower one holds.
  std::optional<Case> Enforced(const Settings& settings, const Subject& subject,
                               const std::optional<Case>& exemption, absl::Time now) const;
  // As the case's action says, but hold in place of discard where its evidence is not sure.
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
