// Judges a subject by the rules that are for it.
//
// A view of the limiter's settings, culprit and counts; it has no state. The caller must hold the
// limiter's lock.

#ifndef DEFERD_LIMITER_JUDGING_JUDGE_H_
#define DEFERD_LIMITER_JUDGING_JUDGE_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "limiter/judging/culprit.h"
#include "limiter/judging/live_counts.h"
#include "policy/evaluate.h"
#include "policy/settings.h"
#include "policy/subject.h"

namespace deferd {

// What was counted: bad deliveries, rejected recipients, or messages accepted.
enum class Basis : uint8_t { kBad, kRejected, kSent, kAny };

class Judge {
 public:
  // All must outlive it.
  Judge(const Settings* settings, const Culprit* culprit, const LiveCounts* counts)
      : settings_(settings), culprit_(culprit), counts_(counts) {}

  // Neither exempt nor a domain that is not hosted here, by the lists now in force.
  bool MayBeBlocked(const Subject& subject, absl::Time now) const;

  // Whether the policy has rules that are enforced, or in shadow.
  bool AnyRule(bool shadow) const;

  // Whether any rule judges recipients that were rejected at RCPT time.
  bool JudgesRejected() const;

  // The decisions of the rules that count `basis`, by the subject's counts as of `now` in steps
  // after `after`.
  std::vector<Decision> Decide(const Subject& subject, absl::Time now, absl::Time after,
                               bool shadow, Basis basis = Basis::kAny) const;

  // Whether the decision depends on other nodes' counts: this node's own counts would not trip the
  // rule, and a part of the domain may be the culprit.
  bool RestsOnOthers(const Subject& subject, const Decision& decision, absl::Time now,
                     bool shadow) const;

 private:
  const Settings* const settings_;
  const Culprit* const culprit_;
  const LiveCounts* const counts_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_JUDGE_H_
