#include "limiter/judging/judge.h"

#include <optional>

#include "absl/algorithm/container.h"
#include "policy/charge.h"
#include "policy/policy.h"

namespace deferd {

bool Judge::MayBeBlocked(const Subject& subject, absl::Time now) const {
  const Policy& policy = *settings_->policy;
  if (policy.Exempts(subject, now)) return false;
  switch (subject.kind) {
    case SubjectKind::kDomain:
    case SubjectKind::kForward:
      return IsHosted(*settings_->lists, subject.id);
    case SubjectKind::kLogin:
    case SubjectKind::kAccount:
    case SubjectKind::kScript:
      return absl::c_none_of(culprit_->WithinOf(subject),
                             [&](const Subject& domain) { return policy.Exempts(domain, now); });
    case SubjectKind::kHost:
      return IsLoopbackHost(subject) || settings_->lists->relay_hosts.ContainsAddress(subject.id);
    case SubjectKind::kLocal:
      return true;
  }
  return true;
}

bool Judge::AnyRule(bool shadow) const { return settings_->policy->HasRules(shadow); }

bool Judge::JudgesRejected() const { return settings_->policy->JudgesRejected(); }

std::vector<Decision> Judge::Decide(const Subject& subject, absl::Time now, absl::Time after,
                                    bool shadow, Basis basis) const {
  const Subject within = culprit_->FirstWithin(subject);
  const auto judges = [basis](const Measure& measure) {
    return basis == Basis::kAny || (measure.rejected() == (basis == Basis::kRejected) &&
                                    measure.sent() == (basis == Basis::kSent));
  };
  return EvaluateAll(
      *settings_->policy, subject,
      [&](const Rule& rule) -> std::optional<Counts> {
        if (!judges(rule.measure)) return std::nullopt;
        return counts_->ToJudge(subject, rule, now, after, shadow);
      },
      StandsAlone(*settings_->lists, subject, within.id), within.id);
}

bool Judge::RestsOnOthers(const Subject& subject, const Decision& decision, absl::Time now,
                          bool shadow) const {
  if (subject.kind != SubjectKind::kDomain) return false;
  const bool has_parts = absl::c_any_of(settings_->policy->rules, [](const Rule& rule) {
    return !rule.unhosted && Culprit::MayBePart(rule.kind);
  });
  if (!has_parts) return false;
  const Counts own = counts_->Of(subject, *decision.rule, now, absl::InfinitePast(), shadow,
                                 LiveCounts::Whose::kOwn);
  return !Evaluate(*decision.rule, own).tripped;
}

}  // namespace deferd
