#include "policy/judgement.h"

namespace deferd {

Judgement JudgementOf(const Decision& decision, const Policy& policy) {
  const Rule& rule = *decision.rule;
  return {.rule = rule.name,
          .min_bad = rule.min_bad,
          .measure = rule.measure,
          .min_recipients = rule.min_recipients,
          .percent_limit = rule.percent,
          .window = rule.window,
          .policy_hash = policy.hash,
          .counts = decision.counts,
          .percent = decision.percent};
}

Rule RuleOf(const Judgement& judgement) {
  Rule rule;
  rule.name = judgement.rule;
  rule.min_bad = judgement.min_bad;
  rule.measure = judgement.measure;
  rule.min_recipients = judgement.min_recipients;
  rule.percent = judgement.percent_limit;
  rule.any_share = rule.percent == 0;
  rule.window = judgement.window;
  return rule;
}

bool SameLimits(const Judgement& a, const Judgement& b) {
  Judgement limits = a;
  limits.counts = b.counts;
  limits.percent = b.percent;
  return limits == b;
}

}  // namespace deferd
