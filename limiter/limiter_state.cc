// The part of the limiter that tells a store what has changed, and takes it back at the start.

#include <algorithm>
#include <iterator>
#include <utility>

#include "limiter/limiter.h"
#include "limiter/store/window_text.h"

namespace deferd {

namespace {

template <typename T>
void PutBack(std::vector<T>* saved, std::vector<T>* changes) {
  saved->insert(saved->end(), std::make_move_iterator(changes->begin()),
                std::make_move_iterator(changes->end()));
  *changes = std::move(*saved);
}

}  // namespace

void Limiter::SubjectChanged(const Subject& subject, SubjectState* state) {
  if (!options_.keep || state->changed) return;
  state->changed = true;
  changes_.subjects.push_back(subject);
}

void Limiter::CollectSubject(const Subject& subject, StoreBatch* batch) {
  auto found = subjects_.find(subject);
  for (size_t i = 0; i < window_clocks_.size(); ++i) {
    StoredWindow& stored = batch->windows.emplace_back();
    stored.subject = subject;
    stored.length = window_clocks_[i].steps.window();
    if (found == subjects_.end()) continue;
    const Window& window = found->second.windows[i];
    if (!window.empty()) stored.row = RowText(window);
  }
  // Most subjects have nothing left out; of one that is gone it is not known.
  if (found == subjects_.end() || found->second.left_out != nullptr) {
    StoredWindow& left_out = batch->windows.emplace_back();
    left_out.subject = subject;
    left_out.length = window_clocks_.front().steps.window();
    left_out.left_out = true;
    if (found != subjects_.end() && !found->second.left_out->empty()) {
      left_out.row = LeftOutText(*found->second.left_out);
    }
  }
  if (found == subjects_.end()) return;
  found->second.changed = false;
}

LimiterFacts Limiter::Facts() const {
  LimiterFacts facts;
  facts.now = now_;
  facts.last_sweep = last_sweep_;
  facts.case_number = case_number_;
  facts.clock_back_at = clock_back_.at;
  facts.clock_back_by = clock_back_.by;
  for (const WindowClock& clock : window_clocks_) {
    facts.windows.emplace_back(clock.steps.window(), clock.since);
  }
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    if (tracked_[kind] || tracked_alone_[kind]) {
      facts.kinds.emplace_back(static_cast<SubjectKind>(kind), tracked_since_[kind]);
    }
  }
  return facts;
}

void Limiter::CollectChanges(StoreBatch* batch) {
  MutexLock lock(&mutex_);
  for (Contributions::Part& part : contributions_.TakeChanged()) {
    changes_.messages.push_back(std::move(part));
  }
  for (Contributions::Part& part : contributions_.TakeGone()) {
    changes_.gone.push_back(std::move(part));
  }
  for (const Incidents::Key& key : incidents_.TakeChanged()) {
    changes_.places.push_back(key);
    const std::optional<Place> place = incidents_.Stored(key);
    batch->places.push_back({NameOf(key), place.has_value() ? PlaceText(key, *place) : ""});
  }
  for (std::string& id : cases_->TakeForgotten()) changes_.forgotten_cases.push_back(std::move(id));
  being_saved_ = std::exchange(changes_, {});

  // Later ones win: a length may have gone and come back.
  batch->windows = being_saved_.stale_windows;
  for (const Subject& subject : being_saved_.subjects_gone) CollectSubject(subject, batch);
  for (const Subject& subject : being_saved_.subjects) CollectSubject(subject, batch);
  for (const auto& [key, part] : being_saved_.gone) {
    batch->contributions.push_back({NameOf(key, part), ""});
  }
  for (const auto& [key, part] : being_saved_.messages) {
    const MessageRecord* record = contributions_.Find(key);
    if (record == nullptr || part >= record->recipients.parts()) continue;
    batch->contributions.push_back({NameOf(key, part), ContributionText(key, *record, part)});
  }
  for (const Subject& subject : being_saved_.clearings) {
    auto cleared = cleared_.find(subject);
    batch->clearings.push_back(
        {NameOf(subject), cleared == cleared_.end() ? "" : ClearingText(subject, cleared->second)});
  }
  for (const CaseEvent& event : being_saved_.events) {
    batch->cases.push_back({event.record.id, CaseText(event.record)});
    batch->events.push_back({event.time, CaseEventText(event)});
  }
  for (const std::string& id : being_saved_.forgotten_cases) batch->cases.push_back({id, ""});
  batch->facts.push_back({"limiter", FactsText(Facts())});
}

void Limiter::ChangesSaved(bool saved) {
  MutexLock lock(&mutex_);
  Changes changes = std::exchange(being_saved_, {});
  for (const auto& [key, part] : changes.messages) {
    MessageRecord* record = contributions_.Find(key);
    if (record == nullptr || part >= record->recipients.parts()) continue;  // it came and went
    if (saved) {
      record->stored = true;
    } else {
      contributions_.Changed(key, record, part);
    }
  }
  if (shared_ != nullptr) ShareSaved(changes, saved);
  for (const Subject& subject : changes.subjects) {
    auto found = subjects_.find(subject);
    if (found == subjects_.end()) continue;
    (saved ? found->second.stored : found->second.changed) = true;
  }
  if (saved) return;
  for (const Incidents::Key& key : changes.places) incidents_.SetChanged(key);
  PutBack(&changes.subjects, &changes_.subjects);
  PutBack(&changes.subjects_gone, &changes_.subjects_gone);
  PutBack(&changes.gone, &changes_.gone);
  PutBack(&changes.clearings, &changes_.clearings);
  PutBack(&changes.events, &changes_.events);
  PutBack(&changes.forgotten_cases, &changes_.forgotten_cases);
  PutBack(&changes.stale_windows, &changes_.stale_windows);
}

absl::Status Limiter::RestoreFacts(absl::string_view text) {
  absl::StatusOr<LimiterFacts> facts = ParseFacts(text);
  if (!facts.ok()) return facts.status();
  MutexLock lock(&mutex_);
  now_ = facts->now;
  last_sweep_ = facts->last_sweep;
  case_number_ = facts->case_number;
  clock_back_ = {facts->clock_back_at, facts->clock_back_by};
  for (WindowClock& clock : window_clocks_) {
    if (now_ != absl::InfinitePast()) clock.now_step = clock.steps.StepOf(now_);
  }
  restored_.facts = *std::move(facts);
  return absl::OkStatus();
}

absl::Status Limiter::RestoreWindow(const StoredWindow& window) {
  MutexLock lock(&mutex_);
  auto clock =
      std::find_if(window_clocks_.begin(), window_clocks_.end(),
                   [&](const WindowClock& one) { return one.steps.window() == window.length; });
  // What is left out is told of the first rule's window.
  if (clock == window_clocks_.end() || (window.left_out && clock != window_clocks_.begin())) {
    changes_.stale_windows.push_back({window.subject, window.length, "", window.left_out});
    return absl::OkStatus();
  }
  SubjectState& state = NewState(window.subject);  // what has a case is not known yet
  state.stored = true;
  if (!window.left_out) {
    return ReadRow(window.row, clock->steps, clock->now_step,
                   &state.windows[clock - window_clocks_.begin()]);
  }
  state.left_out = std::make_unique<LeftOutWindows>();
  return ReadLeftOut(window.row, clock->steps, clock->now_step, state.left_out.get());
}

absl::Status Limiter::RestoreContribution(absl::string_view text) {
  absl::StatusOr<MessagePart> parsed = ParseContribution(text);
  if (!parsed.ok()) return parsed.status();
  MutexLock lock(&mutex_);
  contributions_.Restore(*std::move(parsed));
  return absl::OkStatus();
}

absl::Status Limiter::RestoreClearing(absl::string_view text) {
  auto parsed = ParseClearing(text);
  if (!parsed.ok()) return parsed.status();
  MutexLock lock(&mutex_);
  for (const Subject& domain : parsed->second.within) SetApart(parsed->first, domain);
  for (const Subject& domain : WithinOf(parsed->first)) SetApart(parsed->first, domain);
  cleared_[parsed->first] = std::move(parsed->second);
  return absl::OkStatus();
}

absl::Status Limiter::RestoreCase(absl::string_view text) {
  absl::StatusOr<Case> record = ParseCase(text);
  if (!record.ok()) return record.status();
  MutexLock lock(&mutex_);
  restored_.cases.push_back(*std::move(record));
  return absl::OkStatus();
}

absl::Status Limiter::RestoreEvent(absl::string_view text) {
  absl::StatusOr<CaseEvent> event = ParseCaseEvent(text);
  if (!event.ok()) return event.status();
  MutexLock lock(&mutex_);
  restored_.events.push_back(*std::move(event));
  return absl::OkStatus();
}

absl::Status Limiter::RestorePlace(absl::string_view text) {
  absl::StatusOr<std::pair<Incidents::Key, Place>> place = ParsePlace(text);
  if (!place.ok()) return place.status();
  MutexLock lock(&mutex_);
  incidents_.Restore(place->first, std::move(place->second));
  return absl::OkStatus();
}

void Limiter::FinishRestore() {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  Restored restored = std::exchange(restored_, {});
  // A length or kind that the settings of before did not have is counted from here on.
  for (WindowClock& clock : window_clocks_) {
    clock.since = now_;
    for (const auto& [length, since] : restored.facts.windows) {
      if (length == clock.steps.window()) clock.since = since;
    }
  }
  std::fill(std::begin(tracked_since_), std::end(tracked_since_), now_);
  for (const auto& [kind, since] : restored.facts.kinds) {
    tracked_since_[static_cast<int>(kind)] = since;
  }
  for (const Case& record : restored.cases) {
    if (record.state == CaseState::kClosed || record.shadow) continue;
    parts_blocked_.insert(record.subject);
    SetApart(record.subject, record.within);
  }
  if (shared_ != nullptr) {
    ShareRestored(restored.cases);
    for (const auto& [subject, state] : subjects_) {
      for (Subject& domain : WithinOf(subject)) shared_->parts[std::move(domain)].insert(subject);
    }
  }
  cases_->Restore(std::move(restored.cases), std::move(restored.events));
  next_until_ = cases_->EarliestUntil();
  if (ClockWasSetBack()) ComeBackTo(batch_clock_);
  CloseWhatIsNotEnforced();
  if (subjects_.size() > options_.max_subjects) MakeRoom();
}

}  // namespace deferd
