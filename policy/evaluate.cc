#include "policy/evaluate.h"

#include "policy/rules_for.h"

namespace deferd {

Counts Judged(const Rule& rule, const Counts& counts) {
  return rule.rejected ? counts.OfRejected() : counts;
}

absl::string_view JudgedName(bool rejected) { return rejected ? "rejected_recipients" : "bad"; }

absl::string_view JudgedWords(bool rejected) { return rejected ? "rejected recipients" : "bad"; }

Decision Evaluate(const Rule& rule, const Counts& counts) {
  Decision decision;
  decision.rule = &rule;
  decision.counts = counts;
  const Counts judged = Judged(rule, counts);
  decision.bad = judged.bad();
  decision.percent = judged.judged_percent();
  decision.tripped =
      !rule.off() && decision.bad >= rule.min_bad && decision.percent >= rule.percent;
  // Both limits at that share of theirs, not rounded.
  const double share = rule.warn_at;
  decision.near = share > 0 && !rule.off() && !decision.tripped && decision.bad > 0 &&
                  static_cast<double>(decision.bad) >= share * static_cast<double>(rule.min_bad) &&
                  decision.percent >= share * rule.percent;
  return decision;
}

std::vector<Decision> EvaluateAll(const Policy& policy, const Subject& subject,
                                  const std::function<Counts(absl::Duration window)>& counts_of,
                                  bool alone, absl::string_view within) {
  std::vector<Decision> decisions;
  for (const Rule* rule : RulesFor(policy, subject, alone, within)) {
    decisions.push_back(Evaluate(*rule, counts_of(rule->window)));
  }
  return decisions;
}

const Decision* Strictest(const Policy& policy, const std::vector<Decision>& decisions,
                          bool shadow) {
  const Decision* strictest = nullptr;
  for (const Decision& decision : decisions) {
    const bool in_shadow = policy.mode == Mode::kShadow || decision.rule->shadow;
    if (!decision.tripped || in_shadow != shadow) continue;
    if (strictest == nullptr ||
        decision.rule->action.Strictest() > strictest->rule->action.Strictest()) {
      strictest = &decision;
    }
  }
  return strictest;
}

}  // namespace deferd
