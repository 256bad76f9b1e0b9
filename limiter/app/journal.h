// What happens to cases, as lines in the log: who or which rule, when, why.

#ifndef DEFERD_LIMITER_APP_JOURNAL_H_
#define DEFERD_LIMITER_APP_JOURNAL_H_

#include <vector>

#include "limiter/observer.h"

namespace deferd {

class Journal : public Observer {
 public:
  void OnCase(CaseChange change, const Case& record) override;
};

// Tells each of several observers, in order. They must outlive it.
class ObserverList : public Observer {
 public:
  explicit ObserverList(std::vector<Observer*> observers) : observers_(std::move(observers)) {}

  void OnLines(const LineCounts& counts) override {
    for (Observer* one : observers_) one->OnLines(counts);
  }
  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged,
                 LeftOut left_out) override {
    for (Observer* one : observers_) one->OnAttempt(attempt, charged, left_out);
  }
  void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) override {
    for (Observer* one : observers_) one->OnContribution(subject, outcome, delta);
  }
  void OnCase(CaseChange change, const Case& record) override {
    for (Observer* one : observers_) one->OnCase(change, record);
  }

 private:
  const std::vector<Observer*> observers_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_JOURNAL_H_
