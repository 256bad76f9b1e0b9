// Every transition of a case, and the transitions that are not stored yet.
//
//   change            by                     from      to       ending
//   Open              a rule that tripped    -         blocked
//   Exempt            a person               -         blocked  (likewise; the answer is `pass`)
//   Block             a person               -         blocked  (a rule's case ends: kPerson)
//   Extend            its time was over, and it tripped again    blocked
//   Close kTime       its time was over      blocked   closed
//   Close kPerson     a person               blocked   closed
//   Close kPolicy     a policy that no longer enforces it        closed
//   Close kIncident   an incident that it rested on              closed
//   Close kEnforced   (in shadow) an enforced case of the subject opened
//
// Open, Block, Exempt, Extended and Closed return the record as it is after the change, and change
// nothing else; Put applies it. All fields are guarded by the limiter's lock; the table has a lock
// of its own, since other threads read it. Restore comes before anything else.

#ifndef DEFERD_LIMITER_CASES_CASEBOOK_H_
#define DEFERD_LIMITER_CASES_CASEBOOK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "policy/evaluate.h"
#include "policy/policy.h"

namespace deferd {

class Casebook {
 public:
  // `table` must outlive it. `keep`: somebody stores the events.
  Casebook(std::string node, int64_t incarnation, CaseTable* table, bool keep)
      : node_(std::move(node)), incarnation_(incarnation), table_(table), keep_(keep) {}

  // A case that a rule opens; the caller fills in the basis of its counts. It is `history` if its
  // time is over by `clock`.
  Case Open(const Subject& subject, const Policy& policy, const Decision& decision, bool shadow,
            absl::Time since, absl::Time clock);
  Case Block(const Subject& subject, const Policy& policy, absl::Time since, absl::Time until,
             const std::string& by, const std::string& reason);
  // An exemption, as a case whose answer is `pass`.
  Case Exempt(const Subject& subject, const Policy& policy, absl::Time since, absl::Time until,
              const std::string& by, const std::string& reason);
  static Case Extended(Case record, const Rule& rule, absl::Time clock);
  // `by`: the person, if one ended it.
  static Case Closed(Case record, absl::Time at, Ending ending, std::string reason = "",
                     std::string by = "");

  // Applies the change to the table, and keeps it for the store.
  void Put(CaseChange change, absl::Time time, const Case& record);
  // The open case that is due first by `t`; looked up without the table's lock where none is.
  std::optional<Case> NextDue(absl::Time t) const;

  // The number of a case that this node has opened; nullopt: another node's.
  std::optional<int64_t> NumberOf(const Case& record) const;
  // Of the newest one.
  int64_t number() const { return number_; }

  // For a store.
  std::vector<CaseEvent> TakeEvents() { return std::exchange(events_, {}); }
  std::vector<std::string> TakeForgotten();
  // Deletes a case of this node without a trace.
  void Forget(const std::string& id) { forgotten_.push_back(id); }
  // The store could not save these: the next Take calls return them again.
  void PutBack(std::vector<CaseEvent> events, std::vector<std::string> forgotten);
  void Restore(int64_t number) { number_ = number; }
  void Restore(std::vector<Case> cases, std::vector<CaseEvent> events);

 private:
  std::string NextId();

  const std::string node_;
  const int64_t incarnation_;
  CaseTable* const table_;
  const bool keep_;
  int64_t number_ = 0;
  absl::Time next_until_ = absl::InfiniteFuture();
  std::vector<CaseEvent> events_;
  std::vector<std::string> forgotten_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_CASEBOOK_H_
