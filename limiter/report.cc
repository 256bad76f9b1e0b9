#include "limiter/report.h"

#include <algorithm>
#include <tuple>

#include "policy/charge.h"
#include "policy/evaluate.h"
#include "policy/rules_for.h"

namespace deferd {

std::vector<SubjectCounts> TopOf(const LimiterParts& parts, size_t limit) {
  std::vector<SubjectCounts> top;
  {
    const absl::Time now = parts.ShownNow();
    const absl::Duration window = parts.counter.first().window();
    auto add = [&](const Subject& subject) {
      const Counts counts =
          parts.counts.Of(subject, window, now, absl::InfinitePast(), /*shadow=*/false);
      if (!counts.nothing()) top.push_back({subject, counts});
    };
    parts.counter.ForEach(add);
    if (parts.rows != nullptr) {
      parts.rows->ForEachOther([&](const Subject& subject) {
        if (!parts.counter.Has(subject)) add(subject);
      });
    }
  }
  auto worse = [](const SubjectCounts& a, const SubjectCounts& b) {
    if (a.counts.bad() != b.counts.bad()) return a.counts.bad() > b.counts.bad();
    if (a.counts.total() != b.counts.total()) return a.counts.total() < b.counts.total();
    return std::tie(a.subject.id, a.subject.kind) < std::tie(b.subject.id, b.subject.kind);
  };
  if (limit == 0 || limit >= top.size()) {
    std::sort(top.begin(), top.end(), worse);
  } else {
    std::partial_sort(top.begin(), top.begin() + limit, top.end(), worse);
    top.resize(limit);
  }
  return top;
}

SubjectReport ReportOf(const LimiterParts& parts, const Subject& asked) {
  const Subject subject = AsCharged(*parts.settings.lists, asked);
  const Policy& policy = *parts.settings.policy;
  const absl::Time now = parts.ShownNow();
  const StepClock& steps = parts.counter.first();
  const absl::Time cleared_at = parts.clearings.After(subject, /*shadow=*/false);
  SubjectReport report;
  report.window = steps.window();
  report.counts =
      parts.counts.Of(subject, report.window, now, absl::InfinitePast(), /*shadow=*/false);
  report.left_out = parts.counter.LeftOutOf(subject, steps.StepOf(now), StepAt(steps, cleared_at));
  if (parts.rows != nullptr) {
    report.counts_by_node = parts.counts.ByNode(parts.options.node, subject, /*shadow=*/false,
                                                report.window, report.counts, now);
  }
  const Subject first_within = parts.culprit.FirstWithin(subject);
  const bool alone = StandsAlone(*parts.settings.lists, subject, first_within.id);
  for (const Rule* judging : RulesFor(policy, subject, alone, first_within.id)) {
    const Rule& rule = *judging;
    const bool shadow = rule.shadow || policy.mode == Mode::kShadow;
    const Counts counts = parts.counts.Of(subject, rule, now, absl::InfinitePast(), shadow);
    const Decision decision = Evaluate(rule, counts);
    const Counts recent = parts.counts.Of(subject, rule, now, now - rule.window / 4, shadow);
    report.rules.push_back({rule, counts, recent, decision.percent, decision.tripped, shadow});
  }
  report.within = parts.culprit.WithinOf(subject);
  report.exemption = parts.case_table->FindExemption(subject, report.within, policy, now);
  report.exempt = report.exemption.has_value() || policy.Exempts(subject, now) ||
                  std::any_of(report.within.begin(), report.within.end(),
                              [&](const Subject& domain) { return policy.Exempts(domain, now); });
  const bool whole = subject.kind == SubjectKind::kDomain || subject.kind == SubjectKind::kForward;
  report.hosted = !whole || IsHosted(*parts.settings.lists, subject.id);
  report.may_be_blocked = !report.exemption.has_value() && parts.judge.MayBeBlocked(subject, now);
  report.policy_shadow = policy.mode == Mode::kShadow;
  report.parts = parts.culprit.PartsAmong(parts.case_table->Open(), subject);
  std::erase_if(report.parts, [](const Case& part) { return part.exempts(); });
  report.cleared_at = cleared_at;
  return report;
}

}  // namespace deferd
