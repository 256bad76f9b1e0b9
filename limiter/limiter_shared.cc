// The part of the limiter that shares with other nodes: what is here is put by whoever asks for it,
// after it is stored at home, and what other nodes say comes back.

#include <algorithm>
#include <optional>
#include <utility>

#include "limiter/limiter.h"

namespace deferd {

namespace {

// So long closed cases are told to others.
constexpr absl::Duration kTellClosed = absl::Hours(7 * 24);

}  // namespace

void Limiter::OnSharedWork(std::function<void()> wake) {
  MutexLock lock(&mutex_);
  wake_ = std::move(wake);
}

void Limiter::Wake() {
  if (wake_) wake_();
}

bool Limiter::Shares(const Subject& subject) const {
  return rows_ != nullptr && !IsLoopbackHost(subject);
}

absl::Time Limiter::TooOld(absl::Time now) const {
  return now - std::max(counter_.longest(), kTellClosed);
}

void Limiter::ShareSubject(const Subject& subject) {
  rows_->Wait(subject, culprit_.FirstWithin(subject));
}

void Limiter::ShareEverything() {
  counter_.ForEach([&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (Shares(subject)) ShareSubject(subject);
  });
  Wake();
}

void Limiter::ShareAll() {
  MutexLock lock(&mutex_);
  ShareEverything();
}

void Limiter::ShareCasesDue(absl::Duration soon) {
  MutexLock lock(&mutex_);
  const absl::Time by = clock_->Now() + soon;
  for (const Case& record : cases_->Open()) {
    if (record.until <= by && Shares(record.subject)) ShareSubject(record.subject);
  }
  for (const Subject& subject : rows_->TakeToRetry()) ShareSubject(subject);
}

void Limiter::SetClockOffset(absl::Duration offset) {
  MutexLock lock(&mutex_);
  if (rows_->SetOffset(offset)) ShareEverything();
}

// Called when a commit has ended: only what is stored at home is told to others.
void Limiter::ShareSaved(const Changes& changes, bool saved) {
  bool any = false;
  if (saved) {
    for (const Subject& subject : changes.subjects) {
      if (!Shares(subject)) continue;
      ShareSubject(subject);
      any = true;
    }
  }
  for (const CaseEvent& event : changes.events) any = shared_cases_->Saved(event.record) || any;
  if (any) Wake();
}

std::vector<RowPut> Limiter::TakeRowsToPut(size_t most) {
  MutexLock lock(&mutex_);
  return rows_->Take(most, *settings_.policy,
                     [&](const Subject& domain)
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { return culprit_.Apart(domain); });
}

void Limiter::RowsNotPut(absl::Span<const RowPut> puts) {
  MutexLock lock(&mutex_);
  rows_->TakeBack(puts, [&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return culprit_.FirstWithin(subject);
  });
}

bool Limiter::RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers,
                      Events* events) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  bool opened = false;
  for (const Subject& subject : rows_->Put(puts, answers, ShownNow())) {
    opened = JudgeAgain(subject) || opened;
    if (!rows_->AsksAgain(subject)) continue;
    // Once more, with the newest of all its parts, and the cases that others opened of them.
    ShareSubject(subject);
    rows_->SetBad(subject);
    if (const absl::flat_hash_set<Subject>* parts = rows_->PartsOf(subject)) {
      for (const Subject& part : *parts) ShareSubject(part);
    }
    rows_->Confirm(subject);
    wants_cases_ = true;
  }
  events->Append(TakeEvents());
  return opened;
}

void Limiter::RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) {
  MutexLock lock(&mutex_);
  rows_->Read(keys, answers, ShownNow());
}

std::vector<RowKey> Limiter::RowKeysOf(const Subject& subject) const {
  MutexLock lock(&mutex_);
  std::vector<Subject> subjects = {subject};
  if (const std::vector<Subject>* parts = culprit_.Apart(subject)) {
    subjects.insert(subjects.end(), parts->begin(), parts->end());
  }
  std::vector<RowKey> keys;
  for (const Subject& one : subjects) {
    for (const StepClock& steps : counter_.lengths()) keys.push_back({one, steps.window()});
  }
  return keys;
}

// Other nodes' attempts may be later than the newest in this node's log: as of the clock, then.
bool Limiter::JudgeAgain(const Subject& subject) {
  const int64_t before = casebook_.number();
  const bool newest = rows_->TakeConfirming(subject);
  JudgeSubject(subject, ShownNow(), ShownNow(), newest, Basis::kAny);
  return casebook_.number() != before;
}

bool Limiter::TakeWantsCases() {
  MutexLock lock(&mutex_);
  return std::exchange(wants_cases_, false);
}

std::vector<RowKey> Limiter::TakeCrowdedRows() {
  MutexLock lock(&mutex_);
  return rows_->TakeCrowded();
}

std::vector<SharedCase> Limiter::TakeCasesToPut() {
  MutexLock lock(&mutex_);
  return shared_cases_->Take(rows_->CaseOffset(), TooOld(clock_->Now()));
}

bool Limiter::CasePut(const SharedCase& sent, const CasePutAnswer& answer, Events* events) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  const CaseExchange::Answered answered =
      shared_cases_->Put(sent, answer, rows_->CaseOffset(), batch_clock_);
  if (answered.announce.has_value()) happened_.AddAnnouncement(*answered.announce);
  if (answered.adopted.has_value()) Adopt(*answered.adopted);
  if (answered.waits) Wake();
  events->Append(TakeEvents());
  return answered.adopted.has_value();
}

void Limiter::MergeCases(const std::vector<SharedCase>& theirs, bool all, Events* events) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  for (const SharedCase& one : theirs) {
    const std::optional<Adoption> adopted =
        shared_cases_->Merge(one, rows_->CaseOffset(), batch_clock_, TooOld(batch_clock_));
    if (adopted.has_value()) Adopt(*adopted);
  }
  if (all) shared_cases_->SetAll(theirs);
  if (shared_cases_->AnyWaits()) Wake();
  events->Append(TakeEvents());
}

void Limiter::Adopt(const Adoption& adoption) {
  const Case& record = adoption.record;
  if (adoption.clear_at != absl::InfinitePast()) {
    Clear(record.subject, adoption.clear_at, !record.shadow, adoption.clear_shadow);
  }
  if (!adoption.gives_way.empty()) casebook_.Forget(adoption.gives_way);
  if (adoption.changes) Changed(CaseChange::kAdopted, batch_clock_, record);
}

bool Limiter::CaseWaits(const Subject& subject) const {
  MutexLock lock(&mutex_);
  return shared_cases_->Waits(subject);
}

void Limiter::GoOnAlone(Events* events) {
  MutexLock lock(&mutex_);
  for (const Subject& subject : rows_->GoOnAlone()) {
    JudgeSubject(subject, ShownNow(), ShownNow(), /*newest=*/true, Basis::kAny);
  }
  for (const Case& record : shared_cases_->TakeUnannounced()) {
    happened_.AddAnnouncement(record);
  }
  events->Append(TakeEvents());
}

std::vector<std::pair<CaseExchange::Name, int64_t>> Limiter::TakeCasesToDrop() {
  MutexLock lock(&mutex_);
  return shared_cases_->TakeDropped();
}

ExchangeStats Limiter::shared_stats() const {
  MutexLock lock(&mutex_);
  return {.waiting_subjects = rows_->waiting(),
          .waiting_cases = shared_cases_->waiting(),
          .unreadable_rows = refused_.rows,
          .unreadable_cases = refused_.cases,
          .refused_last = refused_.last};
}

}  // namespace deferd
