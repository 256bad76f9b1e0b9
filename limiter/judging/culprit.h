// Which subject is within which: the one place that knows, and the order that follows.
//
// A login, account or script is part of the domains that are charged with it: by the lists, or
// because a message was charged to both. The narrowest culprit comes first: attempts of a part that
// came before the end of a case of its own do not count for its domains (live_counts.h).
//
// All fields are guarded by the limiter's lock; so are `settings` and `clearings`, which the
// limiter owns and which must outlive it.

#ifndef DEFERD_LIMITER_JUDGING_CULPRIT_H_
#define DEFERD_LIMITER_JUDGING_CULPRIT_H_

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/counting/clearings.h"
#include "policy/charge.h"
#include "policy/settings.h"
#include "policy/subject.h"

namespace deferd {

class Culprit {
 public:
  Culprit(const Settings* settings, const Clearings* clearings)
      : settings_(settings), clearings_(clearings) {}

  // Whether subjects of this kind can be part of a domain.
  static bool MayBePart(SubjectKind kind);

  // The domains that a narrower subject is part of, the usual one first; none of one that stands
  // alone.
  std::vector<Subject> WithinOf(const Subject& subject) const;
  // The first of them; no id: there is none.
  Subject FirstWithin(const Subject& subject) const;
  // Of these cases those of subjects that are part of `domain`.
  std::vector<Case> PartsAmong(std::vector<Case> cases, const Subject& domain) const;

  // A message was charged to both.
  void Learn(const Subject& part, const Subject& domain);
  // Learns, for these subjects, what the present lists say and `next` no longer does.
  void KeepWithin(
      const ChargeLists& next,
      absl::FunctionRef<void(absl::FunctionRef<void(const Subject&)>)> for_each_subject);

  // A part's enforced case has become what `record` is.
  void NoteCase(const Case& record);
  void SetApart(const Subject& part, const Subject& within);
  // Restores a part's open enforced case.
  void RestoreCase(const Case& record) {
    blocked_.insert(record.subject);
    SetApart(record.subject, record.within);
  }
  // The parts of a domain that have, or had lately, a case of their own; null: none.
  const std::vector<Subject>* Apart(const Subject& domain) const;
  // The time up to which a part's counts are not its domain's: InfiniteFuture while it has an open
  // enforced case, InfinitePast if it never had one.
  absl::Time ApartUntil(const Subject& part) const;
  const absl::flat_hash_set<Subject>& blocked() const { return blocked_; }

  // Forgets what ended before `t`; `counted`: whether the subject has counts still.
  void ForgetBefore(absl::Time t, absl::FunctionRef<bool(const Subject&)> counted);

 private:
  const Settings* const settings_;
  const Clearings* const clearings_;
  // Narrower subjects with an open enforced case; and, by the domain that they are part of, those
  // that have one or had one within the longest window.
  absl::flat_hash_set<Subject> blocked_;
  absl::flat_hash_map<Subject, std::vector<Subject>> apart_;
  // Domains of a narrower subject that do not follow from the lists alone.
  absl::flat_hash_map<Subject, std::vector<Subject>> learned_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_CULPRIT_H_
