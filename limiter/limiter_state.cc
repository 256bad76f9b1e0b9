// The part of the limiter that tells a store what has changed, and takes it back at the start.

#include <algorithm>
#include <iterator>
#include <utility>

#include "limiter/limiter.h"
#include "limiter/store/window_codec.h"

namespace deferd {

void Limiter::CollectSubject(const Subject& subject, StoreBatch* batch) {
  const bool known = counter_.Has(subject);
  for (size_t i = 0; i < counter_.lengths().size(); ++i) {
    StoredWindow& stored = batch->windows.emplace_back();
    stored.subject = subject;
    stored.length = counter_.lengths()[i].window();
    const Window* window = counter_.Find(subject, i);
    if (window != nullptr && !window->empty()) stored.row = RowText(*window);
  }
  // Most subjects have nothing left out; of one that is gone it is not known.
  const LeftOutWindows* windows = counter_.FindLeftOut(subject);
  if (!known || windows != nullptr) {
    StoredWindow& left_out = batch->windows.emplace_back();
    left_out.subject = subject;
    left_out.length = counter_.first().window();
    left_out.left_out = true;
    if (windows != nullptr && !windows->empty()) left_out.row = LeftOutText(*windows);
  }
  counter_.SetCollected(subject);
}

LimiterFacts Limiter::Facts() const {
  LimiterFacts facts;
  facts.now = now_;
  facts.last_sweep = last_sweep_;
  facts.case_number = casebook_.number();
  facts.clock_back_at = clock_back_.at;
  facts.clock_back_by = clock_back_.by;
  facts.windows = counter_.LengthsSince();
  facts.kinds = counter_.KindsSince();
  return facts;
}

void Limiter::CollectChanges(StoreBatch* batch) {
  MutexLock lock(&mutex_);
  being_saved_ = {.subjects = counter_.TakeChanged(),
                  .subjects_gone = counter_.TakeGone(),
                  .stale = counter_.TakeStale(),
                  .messages = contributions_.TakeChanged(),
                  .gone = contributions_.TakeGone(),
                  .clearings = clearings_.TakeChanged(),
                  .events = casebook_.TakeEvents(),
                  .forgotten_cases = casebook_.TakeForgotten(),
                  .places = incidents_.incidents().TakeChanged()};
  // Later ones win: a length may have gone and come back.
  for (const Counter::Stale& one : being_saved_.stale) {
    batch->windows.push_back({one.subject, one.length, "", one.left_out});
  }
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
    const Cleared* cleared = clearings_.Find(subject);
    batch->clearings.push_back(
        {NameOf(subject), cleared == nullptr ? "" : ClearingText(subject, *cleared)});
  }
  for (const CaseEvent& event : being_saved_.events) {
    batch->cases.push_back({event.record.id, CaseText(event.record)});
    batch->events.push_back({event.time, CaseEventText(event)});
  }
  for (const std::string& id : being_saved_.forgotten_cases) batch->cases.push_back({id, ""});
  for (const Incidents::Key& key : being_saved_.places) {
    const std::optional<Place> place = incidents_.incidents().Stored(key);
    batch->places.push_back({NameOf(key), place.has_value() ? PlaceText(key, *place) : ""});
  }
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
  if (rows_ != nullptr) ShareSaved(changes, saved);
  if (saved) {
    counter_.SetStored(changes.subjects);
    return;
  }
  counter_.PutBack(std::move(changes.subjects), std::move(changes.subjects_gone),
                   std::move(changes.stale));
  contributions_.PutBack(std::move(changes.gone));
  clearings_.SetChanged(changes.clearings);
  casebook_.PutBack(std::move(changes.events), std::move(changes.forgotten_cases));
  for (const Incidents::Key& key : changes.places) incidents_.incidents().SetChanged(key);
}

absl::Status Limiter::RestoreFacts(absl::string_view text) {
  absl::StatusOr<LimiterFacts> facts = ParseFacts(text);
  if (!facts.ok()) return facts.status();
  MutexLock lock(&mutex_);
  now_ = facts->now;
  last_sweep_ = facts->last_sweep;
  casebook_.Restore(facts->case_number);
  clock_back_ = {facts->clock_back_at, facts->clock_back_by};
  if (now_ != absl::InfinitePast()) counter_.AdvanceTo(now_);
  restored_.facts = *std::move(facts);
  return absl::OkStatus();
}

absl::Status Limiter::RestoreWindow(const StoredWindow& window) {
  MutexLock lock(&mutex_);
  const StepClock steps(window.length);
  const int64_t now_step = now_ == absl::InfinitePast() ? 0 : steps.StepOf(now_);
  if (window.left_out) {
    LeftOutWindows* left_out = counter_.RestoreLeftOut(window.subject, window.length);
    if (left_out != nullptr) return ReadLeftOut(window.row, steps, now_step, left_out);
  } else {
    Window* counted = counter_.RestoreWindow(window.subject, window.length);
    if (counted != nullptr) return ReadRow(window.row, steps, now_step, counted);
  }
  counter_.AddStale({window.subject, window.length, window.left_out});
  return absl::OkStatus();
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
  for (const Subject& domain : parsed->second.within) culprit_.SetApart(parsed->first, domain);
  for (const Subject& domain : culprit_.WithinOf(parsed->first)) {
    culprit_.SetApart(parsed->first, domain);
  }
  clearings_.Restore(parsed->first, std::move(parsed->second));
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
  incidents_.incidents().Restore(place->first, std::move(place->second));
  return absl::OkStatus();
}

Events Limiter::FinishRestore() {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  Restored restored = std::exchange(restored_, {});
  counter_.RestoreSince(now_, restored.facts.windows, restored.facts.kinds);
  for (const Case& record : restored.cases) {
    const bool enforced = record.state != CaseState::kClosed && !record.shadow;
    if (enforced && Culprit::MayBePart(record.subject.kind)) culprit_.RestoreCase(record);
  }
  if (rows_ != nullptr) {
    shared_cases_->Restore(restored.cases);
    counter_.ForEach([&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      for (const Subject& domain : culprit_.WithinOf(subject)) rows_->SetPart(domain, subject);
    });
  }
  casebook_.Restore(std::move(restored.cases), std::move(restored.events));
  if (ClockWasSetBack()) ComeBackTo(batch_clock_);
  CloseWhatIsNotEnforced();
  if (!counter_.HasRoomFor(0)) MakeRoom();
  return TakeEvents();
}

}  // namespace deferd
