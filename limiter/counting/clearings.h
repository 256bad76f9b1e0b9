// The time from which the attempts of a subject count, after its cases have ended.
//
// All fields are guarded by the limiter's lock. With `track_changes` it also remembers the subjects
// whose entry has changed since it was last stored.

#ifndef DEFERD_LIMITER_COUNTING_CLEARINGS_H_
#define DEFERD_LIMITER_COUNTING_CLEARINGS_H_

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "policy/subject.h"

namespace deferd {

// For the rules that are enforced, and for those in shadow, which see the ends of shadow cases too.
struct Cleared {
  absl::Time enforced = absl::InfinitePast();
  absl::Time shadow = absl::InfinitePast();
  // Of a narrower subject: attempts until then never count for the domains that it is part of.
  absl::Time apart = absl::InfinitePast();
  std::vector<Subject> within;

  absl::Time latest() const { return std::max({enforced, shadow, apart}); }
};

class Clearings {
 public:
  explicit Clearings(bool track_changes) : track_changes_(track_changes) {}

  // Null: no case of the subject has ended lately. Valid until the next change.
  const Cleared* Find(const Subject& subject) const;
  // The time after which its attempts count; InfinitePast: all of them do.
  absl::Time After(const Subject& subject, bool shadow) const;
  absl::Time ApartUntil(const Subject& subject) const;

  // Moves the subject's times on to `at`, never back. `within`: the domains that it is part of.
  void Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow,
             std::vector<Subject> within);
  // Moves on only the time until which its attempts do not count for its domains.
  void SetApart(const Subject& subject, absl::Time at, std::vector<Subject> within);

  // Forgets the subjects with no time at or after `t`.
  void ForgetBefore(absl::Time t);
  // Later times become `now`: they come from a clock that ran ahead.
  void BringBackTo(absl::Time now);
  void ForEach(absl::FunctionRef<void(const Subject&)> tell) const;

  // For a store: the subjects whose entry was changed or removed since the last call.
  std::vector<Subject> TakeChanged() { return std::exchange(changed_, {}); }
  // The store could not save them: the next TakeChanged returns them again.
  void SetChanged(const std::vector<Subject>& subjects);
  void Restore(const Subject& subject, Cleared cleared);

 private:
  void Changed(const Subject& subject) {
    if (track_changes_) changed_.push_back(subject);
  }

  const bool track_changes_;
  absl::flat_hash_map<Subject, Cleared> cleared_;
  std::vector<Subject> changed_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_CLEARINGS_H_
