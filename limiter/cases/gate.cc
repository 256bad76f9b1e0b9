#include "limiter/cases/gate.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "policy/charge.h"
#include "policy/refusal_text.h"

namespace deferd {

Gate::Gate(const CaseTable* cases, const Freshness* freshness, const Clock* clock,
           Settings settings, const HeldMail* held, const SureCases* sure)
    : cases_(cases),
      freshness_(freshness),
      clock_(clock),
      held_(held),
      sure_(sure),
      settings_(std::move(settings)) {}

void Gate::SetSettings(Settings settings) {
  MutexLock lock(&mutex_);
  settings_ = std::move(settings);
}

Settings Gate::settings() const {
  MutexLock lock(&mutex_);
  return settings_;
}

GateAnswer Gate::Check(const Identity& identity, Source source, const std::string& id) const {
  const Settings now_in_force = settings();
  GateAnswer answer = Judge(now_in_force, Charge(*now_in_force.lists, identity, ""), source);
  if (answer.verdict == Verdict::kHold && held_ != nullptr && !id.empty() &&
      held_->WasReleased(id)) {
    return GateAnswer();
  }
  return answer;
}

std::optional<Case> Gate::HeldBy(absl::Span<const Charged> charged, Source source) const {
  const Settings now_in_force = settings();
  if (!cases_->AnyOpen()) return std::nullopt;
  const absl::Time now = clock_->Now();
  const std::optional<Case> exemption = ExemptionOf(now_in_force, charged, now);
  for (const Charged& one : charged) {
    std::optional<Case> found = Enforced(now_in_force, one.subject, exemption, now);
    if (found.has_value() && VerdictOf(*found, source) == Verdict::kHold) return found;
  }
  return std::nullopt;
}

Verdict Gate::VerdictOf(const Case& record, Source source) const {
  const Verdict verdict = record.action.For(source);
  return verdict == Verdict::kDiscard && !IsSure(record) ? Verdict::kHold : verdict;
}

// What is queued already has to be put somewhere.
bool Gate::HeldUpToItsLimit(const Policy& policy, const Subject& subject, Source source) const {
  return held_ != nullptr && source != Source::kQueued &&
         held_->CountOf(subject) >= policy.hold_limit;
}

std::optional<Case> Gate::ExemptionOf(const Settings& settings, absl::Span<const Charged> charged,
                                      absl::Time now) const {
  std::optional<Case> narrowest;
  if (cases_->CountExemptions() == 0) return narrowest;
  std::vector<Subject> domains;
  for (const Charged& one : charged) {
    if (one.subject.kind == SubjectKind::kDomain) domains.push_back(one.subject);
  }
  for (const Charged& one : charged) {
    std::optional<Case> found = cases_->FindExemption(one.subject, domains, *settings.policy);
    if (!found.has_value() || !found->Enforced(now)) continue;
    if (!narrowest.has_value() || NarrownessOf(found->subject) > NarrownessOf(narrowest->subject)) {
      narrowest = std::move(found);
    }
  }
  return narrowest;
}

std::optional<Case> Gate::Enforced(const Settings& settings, const Subject& subject,
                                   const std::optional<Case>& exemption, absl::Time now) const {
  std::optional<Case> found = cases_->FindEnforced(subject, now);
  // Switching the policy to shadow stops what rules do at once, not what a person did.
  if (found.has_value() && settings.policy->mode == Mode::kShadow && !found->manual) {
    return std::nullopt;
  }
  if (found.has_value() && exemption.has_value() &&
      (!found->manual || NarrownessOf(exemption->subject) > NarrownessOf(found->subject))) {
    return std::nullopt;
  }
  return found;
}

GateAnswer Gate::Check(const Subject& subject, Source source) const {
  // A part of a domain is refused with its domain too: asked about as its owner's mail would be.
  if (subject.kind == SubjectKind::kLogin) return Check(Identity{.login = subject.id}, source);
  if (subject.kind == SubjectKind::kAccount) return Check(Identity{.user = subject.id}, source);
  const Charged charged = {subject, true};
  return Judge(settings(), absl::MakeConstSpan(&charged, 1), source);
}

GateAnswer Gate::Judge(const Settings& settings, absl::Span<const Charged> charged,
                       Source source) const {
  GateAnswer answer;
  if (cases_->AnyOpen()) {
    const absl::Time now = clock_->Now();
    const std::optional<Case> exemption = ExemptionOf(settings, charged, now);
    for (const Charged& one : charged) {
      const std::optional<Case> watched = cases_->FindOpen(one.subject, /*shadow=*/true);
      if (watched.has_value() && watched->until > now && !exemption.has_value()) {
        answer.shadow = std::max(answer.shadow, VerdictOf(*watched, source));
      }
      std::optional<Case> found = Enforced(settings, one.subject, exemption, now);
      if (!found.has_value()) continue;
      Verdict verdict = VerdictOf(*found, source);
      const bool full =
          verdict == Verdict::kHold && HeldUpToItsLimit(*settings.policy, one.subject, source);
      if (full) verdict = Verdict::kReject;
      if (verdict <= answer.verdict) continue;
      answer.hold_is_full = full;
      answer.verdict = verdict;
      answer.text = RefusalText(*settings.policy, found->ToRefusal(), verdict);
      answer.cause = *std::move(found);
    }
  }
  if (answer.shadow <= answer.verdict) answer.shadow = Verdict::kPass;
  answer.unchecked = answer.verdict == Verdict::kPass && freshness_->unchecked();
  return answer;
}

}  // namespace deferd
