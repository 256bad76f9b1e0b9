#include "limiter/gate.h"

#include <utility>

#include "policy/charge.h"
#include "policy/refusal_text.h"

namespace deferd {

Gate::Gate(const CaseTable* cases, const Freshness* freshness, const Clock* clock,
           Settings settings)
    : cases_(cases), freshness_(freshness), clock_(clock), settings_(std::move(settings)) {}

void Gate::SetSettings(Settings settings) {
  MutexLock lock(&mutex_);
  settings_ = std::move(settings);
}

Settings Gate::settings() const {
  MutexLock lock(&mutex_);
  return settings_;
}

GateAnswer Gate::Ask(const Identity& identity, Source source) const {
  const Settings now_in_force = settings();
  return Judge(now_in_force, Charge(*now_in_force.lists, identity, ""), source);
}

GateAnswer Gate::Ask(const Subject& subject, Source source) const {
  // A part of a domain is refused with its domain too: asked about as its owner's mail would be.
  if (subject.kind == SubjectKind::kLogin) return Ask(Identity{.login = subject.id}, source);
  if (subject.kind == SubjectKind::kAccount) return Ask(Identity{.user = subject.id}, source);
  const Charged charged = {subject, true};
  return Judge(settings(), absl::MakeConstSpan(&charged, 1), source);
}

GateAnswer Gate::Judge(const Settings& settings, absl::Span<const Charged> charged,
                       Source source) const {
  GateAnswer answer;
  if (cases_->AnyOpen()) {
    const absl::Time now = clock_->Now();
    for (const Charged& one : charged) {
      std::optional<Case> found = cases_->FindEnforced(one.subject, now);
      if (!found.has_value()) continue;
      // Switching the policy to shadow stops what rules do at once, not what a person did.
      if (settings.policy->mode == Mode::kShadow && !found->manual) continue;
      const Verdict verdict = found->action.For(source);
      if (verdict <= answer.verdict) continue;
      answer.verdict = verdict;
      answer.text = RefusalText(*settings.policy, found->ToRefusal(), verdict);
      answer.cause = *std::move(found);
    }
  }
  answer.unchecked = answer.verdict == Verdict::kPass && freshness_->unchecked();
  return answer;
}

}  // namespace deferd
