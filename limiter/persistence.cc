#include "limiter/persistence.h"

#include <optional>
#include <utility>

#include "limiter/store/case_codec.h"
#include "limiter/store/clearing_codec.h"
#include "limiter/store/contribution_codec.h"
#include "limiter/store/place_codec.h"
#include "limiter/store/window_codec.h"

namespace deferd {

void Persistence::CollectSubject(const Subject& subject, StoreBatch* batch) {
  const bool known = parts_->counter.Has(subject);
  for (size_t i = 0; i < parts_->counter.lengths().size(); ++i) {
    StoredWindow& stored = batch->windows.emplace_back();
    stored.subject = subject;
    stored.length = parts_->counter.lengths()[i].window();
    const Window* window = parts_->counter.Find(subject, i);
    if (window != nullptr && !window->empty()) stored.row = RowText(*window);
  }
  // Most subjects have none; of one that is gone it is not known.
  for (size_t i = 0; i < parts_->counter.lengths().size(); ++i) {
    const SideWindows* windows = parts_->counter.FindSide(subject, i);
    if (known && windows == nullptr) break;
    StoredWindow& side = batch->windows.emplace_back();
    side.subject = subject;
    side.length = parts_->counter.lengths()[i].window();
    side.left_out = true;
    if (windows != nullptr && !windows->empty()) side.row = SideText(*windows);
  }
  parts_->counter.SetCollected(subject);
}

LimiterFacts Persistence::Facts() const {
  LimiterFacts facts;
  facts.now = parts_->now;
  facts.last_sweep = parts_->last_sweep;
  facts.case_number = parts_->casebook.number();
  facts.clock_back_at = parts_->clock_back.at;
  facts.clock_back_by = parts_->clock_back.by;
  if (parts_->shared_cases != nullptr) facts.clock_offset = parts_->shared_cases->offset();
  facts.windows = parts_->counter.LengthsSince();
  facts.kinds = parts_->counter.KindsSince();
  return facts;
}

void Persistence::CollectChanges(StoreBatch* batch) {
  MutexLock lock(mutex_);
  being_saved_ = {.subjects = parts_->counter.TakeChanged(),
                  .subjects_gone = parts_->counter.TakeGone(),
                  .stale = parts_->counter.TakeStale(),
                  .messages = parts_->contributions.TakeChanged(),
                  .gone = parts_->contributions.TakeGone(),
                  .clearings = parts_->clearings.TakeChanged(),
                  .events = parts_->casebook.TakeEvents(),
                  .forgotten_cases = parts_->casebook.TakeForgotten(),
                  .places = parts_->incidents.incidents().TakeChanged()};
  // Later ones win: a length may have gone and come back.
  for (const Counter::Stale& one : being_saved_.stale) {
    batch->windows.push_back({one.subject, one.length, "", one.side});
  }
  for (const Subject& subject : being_saved_.subjects_gone) CollectSubject(subject, batch);
  for (const Subject& subject : being_saved_.subjects) CollectSubject(subject, batch);
  for (const auto& [key, part] : being_saved_.gone) {
    batch->contributions.push_back({NameOf(key, part), ""});
  }
  for (const auto& [key, part] : being_saved_.messages) {
    const MessageRecord* record = parts_->contributions.Find(key);
    if (record == nullptr || part >= record->recipients.parts()) continue;
    batch->contributions.push_back({NameOf(key, part), ContributionText(key, *record, part)});
  }
  for (const Subject& subject : being_saved_.clearings) {
    const Cleared* cleared = parts_->clearings.Find(subject);
    batch->clearings.push_back(
        {NameOf(subject), cleared == nullptr ? "" : ClearingText(subject, *cleared)});
  }
  for (const CaseEvent& event : being_saved_.events) {
    batch->cases.push_back({event.record.id, CaseText(event.record)});
    batch->events.push_back({event.time, CaseEventText(event)});
  }
  for (const std::string& id : being_saved_.forgotten_cases) batch->cases.push_back({id, ""});
  for (const Incidents::Key& key : being_saved_.places) {
    const std::optional<Place> place = parts_->incidents.incidents().Stored(key);
    batch->places.push_back({NameOf(key), place.has_value() ? PlaceText(key, *place) : ""});
  }
  batch->facts.push_back({"limiter", FactsText(Facts())});
}

void Persistence::ChangesSaved(bool saved) {
  MutexLock lock(mutex_);
  Changes changes = std::exchange(being_saved_, {});
  for (const auto& [key, part] : changes.messages) {
    MessageRecord* record = parts_->contributions.Find(key);
    if (record == nullptr || part >= record->recipients.parts()) continue;  // it came and went
    if (saved) {
      record->stored = true;
    } else {
      parts_->contributions.Changed(key, record, part);
    }
  }
  if (parts_->rows != nullptr) parts_->ShareSaved(changes.subjects, changes.events, saved);
  if (saved) {
    parts_->counter.SetStored(changes.subjects);
    return;
  }
  parts_->counter.PutBack(std::move(changes.subjects), std::move(changes.subjects_gone),
                          std::move(changes.stale));
  parts_->contributions.PutBack(std::move(changes.gone));
  parts_->clearings.SetChanged(changes.clearings);
  parts_->casebook.PutBack(std::move(changes.events), std::move(changes.forgotten_cases));
  for (const Incidents::Key& key : changes.places) parts_->incidents.incidents().SetChanged(key);
}

absl::Status Persistence::RestoreFacts(absl::string_view text) {
  absl::StatusOr<LimiterFacts> facts = ParseFacts(text);
  if (!facts.ok()) return facts.status();
  MutexLock lock(mutex_);
  parts_->now = facts->now;
  parts_->last_sweep = facts->last_sweep;
  parts_->casebook.Restore(facts->case_number);
  parts_->clock_back = {facts->clock_back_at, facts->clock_back_by};
  if (parts_->now != absl::InfinitePast()) parts_->counter.AdvanceTo(parts_->now);
  restored_.facts = *std::move(facts);
  return absl::OkStatus();
}

absl::Status Persistence::RestoreWindow(const StoredWindow& window) {
  MutexLock lock(mutex_);
  const StepClock steps(window.length);
  const int64_t now_step = parts_->now == absl::InfinitePast() ? 0 : steps.StepOf(parts_->now);
  if (window.left_out) {
    SideWindows* side = parts_->counter.RestoreSide(window.subject, window.length);
    if (side != nullptr) return ReadSide(window.row, steps, now_step, side);
  } else {
    Window* counted = parts_->counter.RestoreWindow(window.subject, window.length);
    if (counted != nullptr) return ReadRow(window.row, steps, now_step, counted);
  }
  parts_->counter.AddStale({window.subject, window.length, window.left_out});
  return absl::OkStatus();
}

absl::Status Persistence::RestoreContribution(absl::string_view text) {
  absl::StatusOr<MessagePart> parsed = ParseContribution(text);
  if (!parsed.ok()) return parsed.status();
  MutexLock lock(mutex_);
  parts_->contributions.Restore(*std::move(parsed));
  return absl::OkStatus();
}

absl::Status Persistence::RestoreClearing(absl::string_view text) {
  auto parsed = ParseClearing(text);
  if (!parsed.ok()) return parsed.status();
  MutexLock lock(mutex_);
  for (const Subject& domain : parsed->second.within)
    parts_->culprit.SetApart(parsed->first, domain);
  for (const Subject& domain : parts_->culprit.WithinOf(parsed->first)) {
    parts_->culprit.SetApart(parsed->first, domain);
  }
  parts_->clearings.Restore(parsed->first, std::move(parsed->second));
  return absl::OkStatus();
}

absl::Status Persistence::RestoreCase(absl::string_view text) {
  absl::StatusOr<Case> record = ParseCase(text);
  if (!record.ok()) return record.status();
  MutexLock lock(mutex_);
  restored_.cases.push_back(*std::move(record));
  return absl::OkStatus();
}

absl::Status Persistence::RestoreEvent(absl::string_view text) {
  absl::StatusOr<CaseEvent> event = ParseCaseEvent(text);
  if (!event.ok()) return event.status();
  MutexLock lock(mutex_);
  restored_.events.push_back(*std::move(event));
  return absl::OkStatus();
}

absl::Status Persistence::RestorePlace(absl::string_view text) {
  absl::StatusOr<std::pair<Incidents::Key, Place>> place = ParsePlace(text);
  if (!place.ok()) return place.status();
  MutexLock lock(mutex_);
  parts_->incidents.incidents().Restore(place->first, std::move(place->second));
  return absl::OkStatus();
}

Events Persistence::FinishRestore() {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  Restored restored = std::exchange(restored_, {});
  parts_->counter.RestoreSince(parts_->now, restored.facts.windows, restored.facts.kinds);
  for (const Case& record : restored.cases) {
    const bool enforced = record.state != CaseState::kClosed && !record.shadow;
    if (enforced && Culprit::MayBePart(record.subject.kind)) parts_->culprit.RestoreCase(record);
  }
  if (parts_->rows != nullptr) {
    parts_->shared_cases->Restore(restored.cases, restored.facts.clock_offset);
    const Culprit* const culprit = &parts_->culprit;
    RowExchange* const rows = parts_->rows.get();
    parts_->counter.ForEach([&](const Subject& subject) {
      for (const Subject& domain : culprit->WithinOf(subject)) rows->SetPart(domain, subject);
    });
  }
  parts_->casebook.Restore(std::move(restored.cases), std::move(restored.events));
  time_->RecoverIfClockSetBack();
  cases_->CloseWhatIsNotEnforced();
  if (!parts_->counter.HasRoomFor(0)) accounts_->MakeRoom();
  return parts_->TakeEvents();
}

}  // namespace deferd
