// From when on the attempts of a subject count, after cases of it have ended.
//
// Owned by the limiter and under its lock. Whose entry has changed since it was last stored is
// remembered, if asked for.

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
  // Of a narrower subject: what came until then never counts for the domains that it is part of.
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
  // The same for what its domains are not charged with, alone.
  void SetApart(const Subject& subject, absl::Time at, std::vector<Subject> within);

  // Forgets the subjects whose times are all before `t`.
  void ForgetBefore(absl::Time t);
  // Later times become `now`: they are of a clock that was ahead.
  void BringBackTo(absl::Time now);
  void ForEach(absl::FunctionRef<void(const Subject&)> tell) const;

  // For a store: whose entry has changed, or is gone, since the last call.
  std::vector<Subject> TakeChanged() { return std::exchange(changed_, {}); }
  // They could not be stored.
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
