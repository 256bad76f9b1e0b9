// The judgement: does a subject's window trip a rule?
//
// Tripped iff bad >= min_bad and percent >= the rule's percent, where percent is
// round(100 * bad / (bad + delivered)), rounded half up to a whole number before it is compared
// (the rounding of the system that deferd replaces, whose worked table is a test). `delivered` is
// without the surplus of messages to very many recipients (dilution.h). A rule with any_share asks
// for no percent. What is bad is the rule's measure (measure.h): of a rule on what was sent, all of
// it, and percent is its share of the most that the rule allows. Where the rule gives
// min_recipients, the bad ones must also have had that many distinct recipients. Pure.

#ifndef DEFERD_POLICY_EVALUATE_H_
#define DEFERD_POLICY_EVALUATE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "policy/counts.h"
#include "policy/policy.h"

namespace deferd {

// Why a rule tripped or did not; prints as the refusal, the log line and the page `why` alike.
struct Decision {
  const Rule* rule = nullptr;  // of the policy that was judged by
  bool tripped = false;
  bool near = false;    // not tripped, and at the share of its limits at which the rule warns
  bool beyond = false;  // tripped, and the rule's cutoff is reached
  Counts counts;
  int64_t bad = 0;  // what was compared with min_bad
  int percent = 0;  // the whole number that was compared
};

// What of `counts` the rule judges.
Counts Judged(const Rule& rule, const Counts& counts);

// The percentage that is compared, of what `measure` makes of `counts`.
int JudgedPercent(const Measure& measure, const Counts& counts, int64_t min_bad);
// What it is a percentage of.
int64_t JudgedOf(const Measure& measure, const Counts& counts, int64_t min_bad);

// Its limits for people: "10 bad and 50%", "200 messages sent", ...
std::string LimitsText(const Rule& rule);

Decision Evaluate(const Rule& rule, const Counts& counts);

// Judges `subject` by every rule that is for it (RulesFor), in the policy's order. `counts_of`
// gives its counts in the rule's window, and of its classes; nothing: the rule is not asked.
std::vector<Decision> EvaluateAll(const Policy& policy, const Subject& subject,
                                  absl::FunctionRef<std::optional<Counts>(const Rule&)> counts_of,
                                  bool alone = false, absl::string_view within = "");

// The tripped decision that a case names: the strictest action, the first of those. Only rules in
// shadow, or only enforced ones, as `shadow` says (a policy in mode shadow has all in shadow), so
// that a shadow rule never changes what an enforced one does. nullptr if none tripped.
const Decision* Strictest(const Policy& policy, const std::vector<Decision>& decisions,
                          bool shadow);

}  // namespace deferd

#endif  // DEFERD_POLICY_EVALUATE_H_
