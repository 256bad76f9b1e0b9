// What a rule judged, by which limits and what came of it: the part of a decision that outlives
// the policy. Cases, receipts and warnings are made of one each, so that all of them name the same
// rule and numbers. A plain value; all zero where no rule judged (a person's block).

#ifndef DEFERD_POLICY_JUDGEMENT_H_
#define DEFERD_POLICY_JUDGEMENT_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "policy/counts.h"
#include "policy/evaluate.h"
#include "policy/measure.h"
#include "policy/policy.h"

namespace deferd {

struct Judgement {
  std::string rule;  // its name
  int64_t min_bad = 0;
  Measure measure;             // what the rule counts
  int64_t min_recipients = 0;  // the rule's
  int percent_limit = 0;       // the rule's; 0: any share
  absl::Duration window;
  std::string policy_hash;
  Counts counts;    // of the window
  int percent = 0;  // the whole number that was compared with percent_limit

  // The part of its counts that the rule judges; of these, the number compared with min_bad; and
  // the total of which `percent` is a share.
  Counts judged() const { return measure.Of(counts); }
  int64_t bad() const { return judged().bad(); }
  int64_t bad_of() const { return JudgedOf(measure, counts, min_bad); }

  friend bool operator==(const Judgement&, const Judgement&) = default;
};

Judgement JudgementOf(const Decision& decision, const Policy& policy);

// The rule as far as a judgement tells: enough to judge other counts by the same limits.
Rule RuleOf(const Judgement& judgement);

// Whether both were made by the same limits, whatever the counts.
bool SameLimits(const Judgement& a, const Judgement& b);

}  // namespace deferd

#endif  // DEFERD_POLICY_JUDGEMENT_H_
