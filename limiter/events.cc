#include "limiter/events.h"

#include <iterator>

namespace deferd {

namespace {

const Classification* Pointer(const std::optional<Classification>& answer) {
  return answer.has_value() ? &*answer : nullptr;
}

}  // namespace

void Events::Append(Events next) {
  list_.insert(list_.end(), std::make_move_iterator(next.list_.begin()),
               std::make_move_iterator(next.list_.end()));
  policies_.insert(policies_.end(), next.policies_.begin(), next.policies_.end());
}

void Events::Notify(Observer* observer) const {
  for (const One& one : list_) {
    if (const auto* attempt = std::get_if<OfAttempt>(&one)) {
      observer->OnAttempt(*attempt->attempt, attempt->charged, attempt->left_out,
                          Pointer(attempt->answer));
    } else if (const auto* contributed = std::get_if<Contributed>(&one)) {
      observer->OnContribution(contributed->subject, contributed->outcome, contributed->delta);
    } else if (const auto* message = std::get_if<OfMessage>(&one)) {
      observer->OnMessage(*message->event, message->charged, Pointer(message->answer));
    } else if (const auto* lines = std::get_if<LineCounts>(&one)) {
      observer->OnLines(*lines);
    } else if (const auto* change = std::get_if<std::unique_ptr<OfCase>>(&one)) {
      const OfCase& of = **change;
      if (of.change.has_value()) {
        observer->OnCase(*of.change, of.record);
      } else {
        observer->OnJudgedAgain(of.record);
      }
    } else if (const auto* incident = std::get_if<std::unique_ptr<Incident>>(&one)) {
      observer->OnIncident(**incident);
    } else if (const auto* warning = std::get_if<std::unique_ptr<Warning>>(&one)) {
      observer->OnWarning(**warning);
    } else if (const auto* announced = std::get_if<std::unique_ptr<Case>>(&one)) {
      observer->OnAnnounce(**announced);
    }
  }
}

}  // namespace deferd
