// Which subject is within which: the one place that knows, and the order that follows.
//
// A login, account or script is part of the domains that are charged with it: by the lists, or
// because a message said so. The narrowest culprit comes first: what a part caused while a case of
// its own was open, and what came before that case ended, is no longer its domains'
// (live_counts.h).
//
// Owned by the limiter and under its lock; `settings` and `clearings` are the limiter's too.

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

  // Whether such subjects are part of domains.
  static bool MayBePart(SubjectKind kind);

  // The domains that a narrower subject is part of, the usual one first; none of one that stands
  // alone.
  std::vector<Subject> WithinOf(const Subject& subject) const;
  // The first of them; no id: there is none.
  Subject FirstWithin(const Subject& subject) const;
  // Of these cases those of subjects that are part of `domain`.
  std::vector<Case> PartsAmong(std::vector<Case> cases, const Subject& domain) const;

  // Of a message that both were charged with.
  void Learn(const Subject& part, const Subject& domain);
  // What was charged by the lists that go stays known of these.
  void KeepWithin(
      const ChargeLists& next,
      absl::FunctionRef<void(absl::FunctionRef<void(const Subject&)>)> for_each_subject);

  // A part's enforced case has become what `record` is.
  void NoteCase(const Case& record);
  void SetApart(const Subject& part, const Subject& within);
  // An open enforced case of a part that a store kept.
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
  // Domains that a narrower subject was charged with where the lists alone do not tell.
  absl::flat_hash_map<Subject, std::vector<Subject>> learned_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_CULPRIT_H_
