#include "limiter/limiter.h"

#include <utility>

namespace deferd {

Limiter::Limiter(const LimiterOptions& options, Settings settings, const Clock* clock,
                 CaseTable* cases)
    : parts_(options, std::move(settings), clock, cases),
      cases_(&parts_),
      time_(&parts_, &cases_),
      accounts_(&parts_, &time_),
      incidents_(&parts_, &accounts_, &cases_),
      attempts_(&parts_, &accounts_, &cases_, &incidents_, &time_),
      nodes_(&mutex_, &parts_, &cases_),
      stored_(&mutex_, &parts_, &cases_, &time_, &accounts_) {}

Limiter::~Limiter() = default;

Events Limiter::Record(const EventBatch& batch) {
  MutexLock lock(&mutex_);
  attempts_.Record(batch);
  return parts_.TakeEvents();
}

Events Limiter::Tick(absl::Duration slack) {
  MutexLock lock(&mutex_);
  parts_.ReadClock();
  time_.EndDue(parts_.batch_clock - slack);
  return parts_.TakeEvents();
}

Events Limiter::SetSettings(Settings settings) {
  MutexLock lock(&mutex_);
  parts_.ReadClock();
  parts_.KeepWithin(*settings.lists);
  parts_.settings = std::move(settings);
  parts_.counter.UseSettings(parts_.now);
  cases_.CloseWhatIsNotEnforced();
  if (parts_.rows != nullptr) parts_.ShareEverything();
  return parts_.TakeEvents();
}

Settings Limiter::settings() const {
  MutexLock lock(&mutex_);
  return parts_.settings;
}

Case Limiter::Block(const Subject& subject, absl::Duration duration, const std::string& by,
                    const std::string& reason, Events* events) {
  MutexLock lock(&mutex_);
  Case record = cases_.Block(subject, duration, by, reason);
  events->Append(parts_.TakeEvents());
  return record;
}

absl::StatusOr<Case> Limiter::Unblock(const Subject& subject, const std::string& by,
                                      const std::string& reason, HeldOrder held, Events* events,
                                      absl::string_view only_case) {
  MutexLock lock(&mutex_);
  absl::StatusOr<Case> ended = cases_.Unblock(subject, by, reason, held, only_case);
  events->Append(parts_.TakeEvents());
  return ended;
}

Case Limiter::Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
                     const std::string& reason, Events* events) {
  MutexLock lock(&mutex_);
  Case record = cases_.Exempt(subject, duration, by, reason);
  events->Append(parts_.TakeEvents());
  return record;
}

absl::StatusOr<Case> Limiter::EndExemption(const Subject& subject, const std::string& by,
                                           const std::string& reason, Events* events) {
  MutexLock lock(&mutex_);
  absl::StatusOr<Case> ended = cases_.EndExemption(subject, by, reason);
  events->Append(parts_.TakeEvents());
  return ended;
}

std::vector<SubjectCounts> Limiter::Top(size_t limit) const {
  MutexLock lock(&mutex_);
  return TopOf(parts_, limit);
}

SubjectReport Limiter::Report(const Subject& subject) const {
  MutexLock lock(&mutex_);
  return ReportOf(parts_, subject);
}

std::vector<Incident> Limiter::ShownIncidents() const {
  MutexLock lock(&mutex_);
  return parts_.incidents.incidents().All();
}

Limiter::Stats Limiter::stats() const {
  MutexLock lock(&mutex_);
  return {.subjects = parts_.counter.size(),
          .messages = parts_.contributions.size(),
          .evicted = parts_.contributions.evicted(),
          .now = parts_.now,
          .evicted_subjects = parts_.counter.evicted(),
          .evicted_places = parts_.incidents.incidents().evicted(),
          .clock_back = parts_.clock_back};
}

}  // namespace deferd
