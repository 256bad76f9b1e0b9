// Who has been warned that a rule is near, so that nobody is warned at each further message.
//
// A subject is warned once in a window of the rule, and anew after that. Kept in memory alone:
// after a restart a subject may be warned twice. Owned by the limiter and under its lock.

#ifndef DEFERD_LIMITER_JUDGING_WARNINGS_H_
#define DEFERD_LIMITER_JUDGING_WARNINGS_H_

#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "policy/judgement.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

// A subject's counts have come near the limits of a rule, which the judgement names.
struct Warning : Judgement {
  Subject subject;
  bool shadow = false;                 // the rule's own, or the policy's mode
  absl::Time at;                       // the stamp of the attempt
  std::optional<absl::Time> expected;  // when the rule is reached at the pace of late
};

class Warnings {
 public:
  // Whether the subject is to be warned of this rule now; it is then taken for warned.
  bool Take(const Subject& subject, const Rule& rule, absl::Time now);
  void ForgetBefore(absl::Time t);
  size_t size() const { return warned_.size(); }

 private:
  using Warned = absl::InlinedVector<std::pair<std::string, absl::Time>, 1>;  // by rule: when
  absl::flat_hash_map<Subject, Warned> warned_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_WARNINGS_H_
