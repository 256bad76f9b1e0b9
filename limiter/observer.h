// What the outside may see of the limiter: metrics, notices and replay's tally hang on here.
//
// Called on the recorder's thread (person's actions: on the admin door's) with the limiter's lock
// held: be quick, do not call back. The defaults ignore everything.

#ifndef DEFERD_LIMITER_OBSERVER_H_
#define DEFERD_LIMITER_OBSERVER_H_

#include <utility>
#include <vector>

#include "limiter/cases/case.h"
#include "limiter/counting/window.h"
#include "limiter/judging/incidents.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/left_out.h"
#include "policy/reply/classify.h"
#include "policy/subject.h"

namespace deferd {

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

  // A rule has opened `record`, and it falls to this node to tell people: just one of the nodes
  // that share does, after OnCase told of the opening. One machine alone: at once.
  virtual void OnAnnounce(const Case& record) { (void)record; }
};

// Tells each of several observers, in order. They must outlive it.
class ObserverList : public Observer {
 public:
  explicit ObserverList(std::vector<Observer*> observers) : observers_(std::move(observers)) {}

  void OnLines(const LineCounts& counts) override {
    for (Observer* one : observers_) one->OnLines(counts);
  }
  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override {
    for (Observer* one : observers_) one->OnAttempt(attempt, charged, left_out, answer);
  }
  void OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                 const Classification* answer) override {
    for (Observer* one : observers_) one->OnMessage(event, charged, answer);
  }
  void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) override {
    for (Observer* one : observers_) one->OnContribution(subject, outcome, delta);
  }
  void OnIncident(const Incident& incident) override {
    for (Observer* one : observers_) one->OnIncident(incident);
  }
  void OnCase(CaseChange change, const Case& record) override {
    for (Observer* one : observers_) one->OnCase(change, record);
  }
  void OnAnnounce(const Case& record) override {
    for (Observer* one : observers_) one->OnAnnounce(record);
  }

 private:
  const std::vector<Observer*> observers_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_OBSERVER_H_
