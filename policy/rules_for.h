// Which rules judge a subject: those that its kind and name select, less those that another of
// these stands in for (instead_of).
//
// A rule in shadow stands in for other rules in shadow alone, so that it never changes what an
// enforced one does; a rule that is off stands in for none. Pure. RuleIndex answers in the time of
// a few hash probes, however many rules name single domains.

#ifndef DEFERD_POLICY_RULES_FOR_H_
#define DEFERD_POLICY_RULES_FOR_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "policy/names.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

class RuleIndex {
 public:
  explicit RuleIndex(const std::vector<Rule>& rules);

  size_t rules() const { return replaces_.size(); }
  NameIndex::Numbers Candidates(const Subject& subject, absl::string_view within) const {
    return by_kind_[static_cast<int>(subject.kind)].Candidates(subject, within);
  }
  // The rules that the one of this number stands in for.
  const std::vector<uint32_t>& ReplacedBy(uint32_t number) const { return replaces_[number]; }

 private:
  NameIndex by_kind_[kSubjectKinds];
  std::vector<std::vector<uint32_t>> replaces_;
};

using RuleList = absl::InlinedVector<const Rule*, 8>;

// In the policy's order. `alone`: see Rule::AppliesTo; `within`: the domain that the subject is
// charged inside of, where its id may not say.
RuleList RulesFor(const Policy& policy, const Subject& subject, bool alone = false,
                  absl::string_view within = "");

// Each rule and why it judges the subject or not, for people; in the policy's order.
struct RuleReason {
  const Rule* rule = nullptr;
  bool judges = false;
  std::string why;
};
std::vector<RuleReason> RuleReasons(const Policy& policy, const Subject& subject,
                                    bool alone = false, absl::string_view within = "");

}  // namespace deferd

#endif  // DEFERD_POLICY_RULES_FOR_H_
