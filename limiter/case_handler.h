// Opens, extends and ends cases.
//
// Has no state and no lock of its own: it works on the limiter's parts, so the caller must hold the
// limiter's lock. Every change of a case passes through Changed, which stamps, records and reports
// it; nothing else may call Casebook::Put.

#ifndef DEFERD_LIMITER_CASE_HANDLER_H_
#define DEFERD_LIMITER_CASE_HANDLER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/judging/judge.h"
#include "limiter/parts.h"
#include "policy/charge.h"
#include "policy/subject.h"

namespace deferd {

class CaseHandler {
 public:
  explicit CaseHandler(LimiterParts* parts) : parts_(parts) {}

  // Opens the case that the rules require, judged as of `now`. If that decision depends on other
  // nodes' rows, and a part of the subject may be the culprit, the decision waits for the newest
  // rows, unless `newest` is set: the caller has just read them. `basis`: the kind of contribution
  // that was added, since a rule is judged only by what it counts.
  void JudgeSubject(const Subject& subject, absl::Time now, absl::Time since, bool newest,
                    Basis basis);
  // All that are charged, after a contribution that may trip a rule.
  void JudgeAll(const ChargedSubjects& charged, absl::Time since, Basis basis);

  void EndDue(absl::Time t);
  // An open one, if its time is over by what the log has reached, `t`.
  void EndIfOver(const Case& record, absl::Time t);
  void CloseWhatIsNotEnforced();
  // The clock ran ahead and was set back to `now`: cases with a later start begin now.
  void BringBackTo(absl::Time now);

  // See Limiter.
  Case Block(const Subject& subject, absl::Duration duration, const std::string& by,
             const std::string& reason);
  Case Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
              const std::string& reason);
  absl::StatusOr<Case> EndExemption(const Subject& subject, const std::string& by,
                                    const std::string& reason);
  absl::StatusOr<Case> Unblock(const Subject& subject, const std::string& by,
                               const std::string& reason, HeldOrder held,
                               absl::string_view only_case);

  // Ends the cases that rules opened of subjects that a person has exempted: all, or this one.
  void CloseWhatIsExempt();
  void CloseIfExempt(const Case& record);
  std::optional<Case> ExemptionOf(const Subject& subject) const;

  void Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow);
  void Changed(CaseChange change, absl::Time time, const Case& record);

 private:
  // Of the decisions of rules in shadow, or enforced ones.
  void Warn(const Subject& subject, const std::vector<Decision>& decisions, bool shadow);
  void Open(const Subject& subject, const Decision& decision, bool shadow, absl::Time since);
  void EndOrExtend(const Case& record);
  // Neither the policy nor a person exempts it.
  bool RulesMayBlock(const Subject& subject, absl::Time at) const;
  // What the decision, of counts as of `at`, rests on.
  void SetEvidence(const Decision& decision, absl::Time at, Case* record) const;
  // Mail is held until the rule's cutoff; beyond it the rule's action is taken.
  void Harden(Case record, absl::Time now);
  // A person's record takes the place of the open one.
  void PutPersons(const Case& record);
  // Nothing is on trial that is enforced.
  void EndShadowCase(const Case& enforced, absl::Time at);
  // A part's enforced case has become what `record` is.
  void NotePart(const Case& record);

  LimiterParts* const parts_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASE_HANDLER_H_
