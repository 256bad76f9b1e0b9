// Remembers which subjects were warned that a rule is near, so that a subject is not warned again
// with every message.
//
// A subject is warned once per window of the rule. The memory is not stored: after a restart a
// subject may be warned twice. All fields are guarded by the limiter's lock.

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
  std::optional<absl::Time> expected;  // when the rule is reached at the recent rate
};

class Warnings {
 public:
  // Returns true if the subject is to be warned of this rule now, and marks it as warned.
  bool Take(const Subject& subject, const Rule& rule, absl::Time now);
  void ForgetBefore(absl::Time t);
  size_t size() const { return warned_.size(); }

 private:
  using Warned = absl::InlinedVector<std::pair<std::string, absl::Time>, 1>;  // by rule: when
  absl::flat_hash_map<Subject, Warned> warned_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_WARNINGS_H_
