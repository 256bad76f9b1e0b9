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

  // What a look-up asks of a rule, close together: rules themselves are large and far apart.
  struct Brief {
    absl::InlinedVector<uint32_t, 1> replaces;  // the rules that it stands in for
    bool off = false;
    bool shadow = false;
    // Whoever its index names is selected; else AppliesTo has to say.
    bool plain = false;
  };

  size_t rules() const { return briefs_.size(); }
  NameIndex::Numbers Candidates(const Subject& subject, absl::string_view within) const {
    return by_kind_[static_cast<int>(subject.kind)].Candidates(subject, within);
  }
  bool has_shadow() const { return has_shadow_; }
  bool has_others() const { return has_others_; }  // not in shadow by themselves
  bool has_rejected() const { return has_rejected_; }
  bool has_sent() const { return has_sent_; }
  bool has_sent_recipients() const { return has_sent_recipients_; }
  const Brief& Of(uint32_t number) const { return briefs_[number]; }

 private:
  NameIndex by_kind_[kSubjectKinds];
  bool has_shadow_ = false;
  bool has_others_ = false;
  bool has_rejected_ = false;
  bool has_sent_ = false;
  bool has_sent_recipients_ = false;
  std::vector<Brief> briefs_;
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
