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
  std::optional<std::optional<Case>> known;
  const auto exemption = [&]() -> const std::optional<Case>& {
    if (!known.has_value()) known = ExemptionOf(now_in_force, charged, now);
    return *known;
  };
  for (const Charged& one : charged) {
    for (Case& block : cases_->FindInForce(one.subject, now).blocks) {
      if (VerdictOf(block, source) == Verdict::kHold && Stops(now_in_force, block, exemption)) {
        return std::move(block);
      }
    }
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
    std::optional<Case> found = cases_->FindExemption(one.subject, domains, *settings.policy, now);
    if (!found.has_value()) continue;
    if (!narrowest.has_value() || NarrownessOf(found->subject) > NarrownessOf(narrowest->subject)) {
      narrowest = std::move(found);
    }
  }
  return narrowest;
}

bool Gate::Stops(const Settings& settings, const Case& block, Exemption exemption) {
  // Switching the policy to shadow stops what rules do at once, not what a person did.
  if (settings.policy->mode == Mode::kShadow && !block.manual) return false;
  const std::optional<Case>& exempt = exemption();
  return !exempt.has_value() ||
         (block.manual && NarrownessOf(exempt->subject) <= NarrownessOf(block.subject));
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
    std::optional<std::optional<Case>> known;
    const auto exemption = [&]() -> const std::optional<Case>& {
      if (!known.has_value()) known = ExemptionOf(settings, charged, now);
      return *known;
    };
    for (const Charged& one : charged) {
      CaseTable::InForce found = cases_->FindInForce(one.subject, now);
      if (found.watched.has_value() && !exemption().has_value()) {
        const Verdict verdict = VerdictOf(*found.watched, source);
        if (verdict > answer.shadow) {
          answer.shadow = verdict;
          answer.shadow_rule = found.watched->rule;
        }
      }
      for (Case& block : found.blocks) {
        Verdict verdict = VerdictOf(block, source);
        if (!Stops(settings, block, exemption)) continue;
        const bool full =
            verdict == Verdict::kHold && HeldUpToItsLimit(*settings.policy, one.subject, source);
        if (full) verdict = Verdict::kReject;
        if (verdict <= answer.verdict) continue;
        answer.hold_is_full = full;
        answer.verdict = verdict;
        answer.text = RefusalText(*settings.policy, block.ToRefusal(), verdict);
        answer.cause = std::move(block);
      }
    }
  }
  if (answer.shadow <= answer.verdict) answer.shadow = Verdict::kPass;
  answer.unchecked = answer.verdict == Verdict::kPass && freshness_->unchecked();
  return answer;
}

}  // namespace deferd
