// Events: what happened during one call of the limiter, in order. The limiter returns it as a
// value; the caller passes it to the observers after releasing the limiter's lock. Metrics, notices
// and replay's tally are observers.
//
// An Events refers to the attempts of the recorded batch: the batch must outlive it. Not
// thread-safe.

#ifndef DEFERD_LIMITER_EVENTS_H_
#define DEFERD_LIMITER_EVENTS_H_

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "limiter/cases/case.h"
#include "limiter/counting/counter.h"
#include "limiter/judging/incidents.h"
#include "limiter/judging/warnings.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/left_out.h"
#include "policy/policy.h"
#include "policy/reply/classify.h"
#include "policy/subject.h"

namespace deferd {

// The defaults ignore everything. Calls are serialised, and may come from different threads. An
// observer must not call the committer.
class Observer {
 public:
  virtual ~Observer() = default;

  // How many lines a batch had, before its attempts.
  virtual void OnLines(const LineCounts& counts) { (void)counts; }

  // Every attempt, with the subjects charged, whether it counts, and the class of the remote reply
  // (null for a delivery).
  virtual void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                         const Classification* answer) {
    (void)attempt, (void)charged, (void)left_out, (void)answer;
  }

  // Other log events (arrivals, completions ...), in their place among the attempts. `charged` is
  // empty if nobody is charged, `answer` null if there is no reply.
  virtual void OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                         const Classification* answer) {
    (void)event, (void)charged, (void)answer;
  }

  // A contribution to the first rule's window: delta +1 added, -1 taken out again.
  virtual void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) {
    (void)subject, (void)outcome, (void)delta;
  }

  virtual void OnCase(CaseChange change, const Case& record) { (void)change, (void)record; }

  // An open case's judgement is another now: it has new counts, and needs a new receipt.
  virtual void OnJudgedAgain(const Case& record) { (void)record; }

  // An incident opened, or ended.
  virtual void OnIncident(const Incident& incident) { (void)incident; }

  // A subject is near the limits of a rule that warns of it.
  virtual void OnWarning(const Warning& warning) { (void)warning; }

  // A rule has opened `record`, and this node is to notify people: exactly one of the nodes that
  // share does. Comes after OnCase for the opening; at once on a single machine.
  virtual void OnAnnounce(const Case& record) { (void)record; }
};

// What is large is defined in events.cc, or each file that sees an Events would compile it again.
class Events {
 public:
  Events();
  ~Events();
  Events(Events&& other) noexcept;
  Events& operator=(Events&& other) noexcept;

  void AddLines(const LineCounts& counts);
  void AddAttempt(const Attempt* attempt, const ChargedSubjects& charged, LeftOut left_out,
                  const Classification* answer);
  void AddMessage(const LogEvent* event, ChargedSubjects charged, const Classification* answer);
  // An event that differs from the one in the batch, so Events owns it.
  void AddMessage(LogEvent event, ChargedSubjects charged, const Classification* answer);
  // Moves the entries of `list`, which is left empty with its capacity.
  void AddContributed(std::vector<Contributed>* list);
  void AddCase(CaseChange change, const Case& record);
  void AddJudgedAgain(const Case& record);
  void AddIncident(const Incident& incident);
  void AddWarning(Warning warning);
  void AddAnnouncement(const Case& record);

  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  void Reserve(size_t events);
  // Adds the events that happened after these.
  void Append(Events next);
  // Keeps the policy alive that the classifications refer to.
  void Keep(std::shared_ptr<const Policy> policy) { policies_.push_back(std::move(policy)); }

  // Calls the observer for each, in order.
  void Notify(Observer* observer) const;

 private:
  struct OfAttempt {
    const Attempt* attempt;
    ChargedSubjects charged;
    LeftOut left_out;
    std::optional<Classification> answer;
  };
  struct OfMessage {
    const LogEvent* event;
    std::unique_ptr<const LogEvent> own;
    ChargedSubjects charged;
    std::optional<Classification> answer;
  };
  struct OfCase {
    std::optional<CaseChange> change;  // none: it was judged again
    Case record;
  };
  // Rare and large alternatives are on the heap, to keep the common ones small.
  using One =
      std::variant<LineCounts, OfAttempt, OfMessage, Contributed, std::unique_ptr<OfCase>,
                   std::unique_ptr<Incident>, std::unique_ptr<Warning>, std::unique_ptr<Case>>;

  std::vector<One> list_;
  std::vector<std::shared_ptr<const Policy>> policies_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_EVENTS_H_
