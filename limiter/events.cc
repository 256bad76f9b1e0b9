#include "limiter/events.h"

#include <iterator>
#include <memory>
#include <utility>

namespace deferd {

namespace {

const Classification* Pointer(const std::optional<Classification>& answer) {
  return answer.has_value() ? &*answer : nullptr;
}

std::optional<Classification> Copy(const Classification* answer) {
  return answer == nullptr ? std::nullopt : std::optional<Classification>(*answer);
}

}  // namespace

Events::Events() = default;
Events::~Events() = default;
Events::Events(Events&& other) noexcept = default;
Events& Events::operator=(Events&& other) noexcept = default;

void Events::AddLines(const LineCounts& counts) { list_.emplace_back(counts); }

void Events::AddAttempt(const Attempt* attempt, const ChargedSubjects& charged, LeftOut left_out,
                        const Classification* answer) {
  list_.emplace_back(OfAttempt{attempt, charged, left_out, Copy(answer)});
}

void Events::AddMessage(const LogEvent* event, ChargedSubjects charged,
                        const Classification* answer) {
  list_.emplace_back(OfMessage{event, nullptr, std::move(charged), Copy(answer)});
}

void Events::AddMessage(LogEvent event, ChargedSubjects charged, const Classification* answer) {
  auto own = std::make_unique<LogEvent>(std::move(event));
  const LogEvent* const at = own.get();
  list_.emplace_back(OfMessage{at, std::move(own), std::move(charged), Copy(answer)});
}

void Events::AddContributed(std::vector<Contributed>* list) {
  for (Contributed& one : *list) list_.emplace_back(std::move(one));
  list->clear();
}

void Events::AddCase(CaseChange change, const Case& record) {
  list_.emplace_back(std::make_unique<OfCase>(OfCase{change, record}));
}

void Events::AddJudgedAgain(const Case& record) {
  list_.emplace_back(std::make_unique<OfCase>(OfCase{std::nullopt, record}));
}

void Events::AddIncident(const Incident& incident) {
  list_.emplace_back(std::make_unique<Incident>(incident));
}

void Events::AddWarning(Warning warning) {
  list_.emplace_back(std::make_unique<Warning>(std::move(warning)));
}

void Events::AddAnnouncement(const Case& record) {
  list_.emplace_back(std::make_unique<Case>(record));
}

void Events::Reserve(size_t events) { list_.reserve(events); }

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
