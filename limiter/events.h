// What happened while the limiter worked, in order: a value that whoever called it hands on to the
// observers, with no lock held. Metrics, notices and replay's tally hang on here.
//
// An Events refers to the attempts of the batch that was recorded, which must live until it is
// told. Not thread-safe.

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

// The defaults ignore everything. Called by one thread at a time; do not call the committer back.
class Observer {
 public:
  virtual ~Observer() = default;

  // Lines of one batch, before its attempts.
  virtual void OnLines(const LineCounts& counts) { (void)counts; }

  // Every attempt, with who was charged, whether it counts, and what the answer means (null of what
  // was delivered).
  virtual void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                         const Classification* answer) {
    (void)attempt, (void)charged, (void)left_out, (void)answer;
  }

  // What a log tells besides attempts, in its place among them; `charged` is empty where nobody is,
  // `answer` null where there is none.
  virtual void OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                         const Classification* answer) {
    (void)event, (void)charged, (void)answer;
  }

  // A contribution to the first rule's window: delta +1 added, -1 taken out again.
  virtual void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) {
    (void)subject, (void)outcome, (void)delta;
  }

  virtual void OnCase(CaseChange change, const Case& record) { (void)change, (void)record; }

  // An incident opened, or ended.
  virtual void OnIncident(const Incident& incident) { (void)incident; }

  // A subject is near the limits of a rule that warns of it.
  virtual void OnWarning(const Warning& warning) { (void)warning; }

  // A rule has opened `record`, and it falls to this node to tell people: just one of the nodes
  // that share does, after OnCase told of the opening. One machine alone: at once.
  virtual void OnAnnounce(const Case& record) { (void)record; }
};

class Events {
 public:
  void AddLines(const LineCounts& counts) { list_.emplace_back(counts); }
  void AddAttempt(const Attempt* attempt, const ChargedSubjects& charged, LeftOut left_out,
                  const Classification* answer) {
    list_.emplace_back(OfAttempt{attempt, charged, left_out, Copy(answer)});
  }
  void AddMessage(const LogEvent* event, ChargedSubjects charged, const Classification* answer) {
    list_.emplace_back(OfMessage{event, nullptr, std::move(charged), Copy(answer)});
  }
  // One that is not as the batch has it.
  void AddMessage(LogEvent event, ChargedSubjects charged, const Classification* answer) {
    auto own = std::make_unique<LogEvent>(std::move(event));
    const LogEvent* const at = own.get();
    list_.emplace_back(OfMessage{at, std::move(own), std::move(charged), Copy(answer)});
  }
  // Takes what is in `list`, which keeps its memory.
  void AddContributed(std::vector<Contributed>* list) {
    for (Contributed& one : *list) list_.emplace_back(std::move(one));
    list->clear();
  }
  void AddCase(CaseChange change, const Case& record) {
    list_.emplace_back(std::make_unique<OfCase>(OfCase{change, record}));
  }
  void AddIncident(const Incident& incident) {
    list_.emplace_back(std::make_unique<Incident>(incident));
  }
  void AddWarning(Warning warning) {
    list_.emplace_back(std::make_unique<Warning>(std::move(warning)));
  }
  void AddAnnouncement(const Case& record) { list_.emplace_back(std::make_unique<Case>(record)); }

  bool empty() const { return list_.empty(); }
  // Goes on with what happened next.
  void Append(Events next);
  // What answers refer to lives as long as this.
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
    CaseChange change;
    Case record;
  };
  // What is rare and large is apart.
  using One =
      std::variant<LineCounts, OfAttempt, OfMessage, Contributed, std::unique_ptr<OfCase>,
                   std::unique_ptr<Incident>, std::unique_ptr<Warning>, std::unique_ptr<Case>>;

  static std::optional<Classification> Copy(const Classification* answer) {
    return answer == nullptr ? std::nullopt : std::optional<Classification>(*answer);
  }

  std::vector<One> list_;
  std::vector<std::shared_ptr<const Policy>> policies_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_EVENTS_H_
