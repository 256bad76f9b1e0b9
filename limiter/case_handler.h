// Opens, extends and ends cases.
//
// Works on the limiter's parts, under its lock. Changed is the one way to change a case.

#ifndef DEFERD_LIMITER_CASE_WORK_H_
#define DEFERD_LIMITER_CASE_WORK_H_

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

  // Opens the case that the rules ask for, judged as of `now`. Where that rests on other nodes'
  // rows and parts of the subject go before it, their newest rows are waited for, unless `newest`
  // says that these are they. `basis`: what was counted, since a case opens only on what its rule
  // judges.
  void JudgeSubject(const Subject& subject, absl::Time now, absl::Time since, bool newest,
                    Basis basis);
  // All that are charged, after a contribution that may trip a rule.
  void JudgeAll(const ChargedSubjects& charged, absl::Time since, Basis basis);

  void EndDue(absl::Time t);
  void CloseWhatIsNotEnforced();
  // The clock was ahead and was set back to `now`: cases that began ahead begin now.
  void BringBackTo(absl::Time now);

  // As Limiter says.
  Case Block(const Subject& subject, absl::Duration duration, const std::string& by,
             const std::string& reason);
  Case Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
              const std::string& reason);
  absl::StatusOr<Case> EndExemption(const Subject& subject, const std::string& by,
                                    const std::string& reason);
  absl::StatusOr<Case> Unblock(const Subject& subject, const std::string& by,
                               const std::string& reason, HeldOrder held);

  // Ends what rules opened of whom a person has exempted.
  void CloseWhatIsExempt();
  std::optional<Case> ExemptionOf(const Subject& subject) const;

  void Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow);
  void Changed(CaseChange change, absl::Time time, const Case& record);

 private:
  // Of the decisions of rules in shadow, or enforced ones.
  void Warn(const Subject& subject, const std::vector<Decision>& decisions, bool shadow);
  void Open(const Subject& subject, const Decision& decision, bool shadow, absl::Time since);
  void EndOrExtend(const Case& record);
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

#endif  // DEFERD_LIMITER_CASE_WORK_H_
