#include "policy/evaluate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "policy/rules_for.h"

namespace deferd {

Counts Judged(const Rule& rule, const Counts& counts) { return rule.measure.Of(counts); }

int64_t JudgedOf(const Measure& measure, const Counts& counts, int64_t min_bad) {
  return measure.sent() ? min_bad : measure.Of(counts).total() - counts.surplus;
}

int JudgedPercent(const Measure& measure, const Counts& counts, int64_t min_bad) {
  const Counts judged = measure.Of(counts);
  if (!measure.sent()) return judged.judged_percent();
  constexpr double kMost = 1'000'000;
  if (min_bad <= 0) return 0;
  const double share = 100.0 * static_cast<double>(judged.bad()) / static_cast<double>(min_bad);
  return static_cast<int>(std::clamp(share + 0.5, 0.0, kMost));
}

std::string LimitsText(const Rule& rule) {
  std::string text = absl::StrCat(rule.min_bad, " ", rule.measure.Words());
  if (rule.min_recipients > 0) absl::StrAppend(&text, " to ", rule.min_recipients, " recipients");
  if (rule.cutoff > 0) absl::StrAppend(&text, ", held up to ", rule.cutoff, "%");
  if (rule.measure.sent()) return text;
  absl::StrAppend(&text, rule.any_share ? std::string(", whatever share")
                                        : absl::StrCat(" and ", rule.percent, "%"));
  return text;
}

Decision Evaluate(const Rule& rule, const Counts& counts) {
  Decision decision;
  decision.rule = &rule;
  decision.counts = counts;
  const Counts judged = Judged(rule, counts);
  decision.bad = judged.bad();
  decision.percent = JudgedPercent(rule.measure, counts, rule.min_bad);
  decision.tripped = !rule.off() && decision.bad >= rule.min_bad &&
                     decision.percent >= rule.percent && counts.recipients >= rule.min_recipients;
  decision.beyond = decision.tripped && static_cast<double>(decision.bad) * 100 >=
                                            static_cast<double>(rule.min_bad) * rule.cutoff;
  // Both limits at that share of theirs, not rounded.
  const double share = rule.warn_at;
  decision.near =
      share > 0 && !rule.off() && !decision.tripped && decision.bad > 0 &&
      static_cast<double>(decision.bad) >= share * static_cast<double>(rule.min_bad) &&
      decision.percent >= share * rule.percent &&
      static_cast<double>(counts.recipients) >= share * static_cast<double>(rule.min_recipients);
  return decision;
}

std::vector<Decision> EvaluateAll(const Policy& policy, const Subject& subject,
                                  absl::FunctionRef<std::optional<Counts>(const Rule&)> counts_of,
                                  bool alone, absl::string_view within) {
  std::vector<Decision> decisions;
  for (const Rule* rule : RulesFor(policy, subject, alone, within)) {
    const std::optional<Counts> counts = counts_of(*rule);
    if (counts.has_value()) decisions.push_back(Evaluate(*rule, *counts));
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
