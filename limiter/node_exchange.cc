#include "limiter/node_exchange.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace deferd {

void NodeExchange::SetWake(std::function<void()> wake) {
  MutexLock lock(mutex_);
  parts_->wake = std::move(wake);
}

void NodeExchange::ShareAll() {
  MutexLock lock(mutex_);
  parts_->ShareEverything();
}

void NodeExchange::ShareCasesDue(absl::Duration soon) {
  MutexLock lock(mutex_);
  const absl::Time by = parts_->clock->Now() + soon;
  for (const Case& record : parts_->case_table->Open()) {
    if (record.until <= by && parts_->Shares(record.subject)) parts_->ShareSubject(record.subject);
  }
  for (const Subject& subject : parts_->rows->TakeToRetry()) parts_->ShareSubject(subject);
}

void NodeExchange::SetClockOffset(const ClockOffset& measured) {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  parts_->SetClockOffset(measured.offset, measured.exact);
}

std::vector<RowPut> NodeExchange::TakeRowsToPut(size_t most) {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  const Culprit* const culprit = &parts_->culprit;
  return parts_->rows->Take(most, *parts_->settings.policy,
                            [&](const Subject& domain) { return culprit->Apart(domain); });
}

void NodeExchange::RowsNotPut(absl::Span<const RowPut> puts) {
  MutexLock lock(mutex_);
  const Culprit* const culprit = &parts_->culprit;
  parts_->rows->TakeBack(puts, [&](const Subject& one) { return culprit->FirstWithin(one); });
}

bool NodeExchange::RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers,
                           Events* events) {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  bool opened = false;
  for (const Subject& subject : parts_->rows->Put(puts, answers, parts_->ShownNow())) {
    opened = JudgeAgain(subject) || opened;
    if (!parts_->rows->AwaitsConfirmation(subject)) continue;
    // Once more, with the newest of all its parts, and the cases that others opened of them.
    parts_->ShareSubject(subject);
    parts_->rows->SetBad(subject);
    if (const absl::flat_hash_set<Subject>* parts = parts_->rows->PartsOf(subject)) {
      for (const Subject& part : *parts) parts_->ShareSubject(part);
    }
    parts_->rows->Confirm(subject);
    parts_->wants_cases = true;
  }
  events->Append(parts_->TakeEvents());
  return opened;
}

void NodeExchange::RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) {
  MutexLock lock(mutex_);
  parts_->rows->Read(keys, answers, parts_->ShownNow());
}

std::vector<RowKey> NodeExchange::RowKeysOf(const Subject& subject) const {
  MutexLock lock(mutex_);
  std::vector<Subject> subjects = {subject};
  if (const std::vector<Subject>* parts = parts_->culprit.Apart(subject)) {
    subjects.insert(subjects.end(), parts->begin(), parts->end());
  }
  std::vector<RowKey> keys;
  for (const Subject& one : subjects) {
    for (RowKey& key : parts_->rows->KeysOf(one)) keys.push_back(std::move(key));
  }
  return keys;
}

// Other nodes' attempts may be later than the newest in this node's log: as of the clock, then.
bool NodeExchange::JudgeAgain(const Subject& subject) {
  const int64_t before = parts_->casebook.number();
  const bool newest = parts_->rows->TakeConfirming(subject);
  cases_->JudgeSubject(subject, parts_->ShownNow(), parts_->ShownNow(), newest, Basis::kAny);
  return parts_->casebook.number() != before;
}

bool NodeExchange::TakeWantsCases() {
  MutexLock lock(mutex_);
  return std::exchange(parts_->wants_cases, false);
}

void NodeExchange::SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at) {
  MutexLock lock(mutex_);
  parts_->rows->SetNodes(nodes, at);
}

std::vector<RowKey> NodeExchange::TakeRowsToCheck() {
  MutexLock lock(mutex_);
  const LimiterParts* const parts = parts_;
  return parts_->row_check->Take(
      parts_->ShownNow(), [parts](const Subject& subject) { return parts->Shares(subject); });
}

void NodeExchange::RowsChecked(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) {
  MutexLock lock(mutex_);
  for (const Subject& subject : parts_->row_check->Answered(keys, answers)) {
    parts_->ShareSubject(subject);
  }
}

std::vector<RowKey> NodeExchange::TakeCrowdedRows() {
  MutexLock lock(mutex_);
  return parts_->rows->TakeCrowded();
}

std::vector<SharedCase> NodeExchange::TakeCasesToPut() {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  return parts_->shared_cases->Take(parts_->rows->CaseOffset(),
                                    parts_->TooOld(parts_->batch_clock));
}

bool NodeExchange::CasePut(const SharedCase& sent, const CasePutAnswer& answer, Events* events) {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  const CaseExchange::Answered answered =
      parts_->shared_cases->Put(sent, answer, parts_->rows->CaseOffset(), parts_->batch_clock);
  if (answered.announce.has_value()) parts_->happened.AddAnnouncement(*answered.announce);
  if (answered.adopted.has_value() && Adopt(*answered.adopted)) cases_->CloseWhatIsExempt();
  if (answered.waits) parts_->Wake();
  events->Append(parts_->TakeEvents());
  return answered.adopted.has_value();
}

void NodeExchange::MergeCases(const std::vector<SharedCase>& theirs, bool all, Events* events) {
  MutexLock lock(mutex_);
  parts_->ReadClock();
  bool exempted = false;
  for (const SharedCase& one : theirs) {
    const std::optional<Adoption> adopted = parts_->shared_cases->Merge(
        one, parts_->rows->CaseOffset(), parts_->batch_clock, parts_->TooOld(parts_->batch_clock));
    if (adopted.has_value()) exempted = Adopt(*adopted) || exempted;
  }
  if (exempted) cases_->CloseWhatIsExempt();
  if (all) parts_->shared_cases->SetAll(theirs);
  if (parts_->shared_cases->AnyWaits()) parts_->Wake();
  events->Append(parts_->TakeEvents());
}

bool NodeExchange::Adopt(const Adoption& adoption) {
  const Case& record = adoption.record;
  if (adoption.clear_at != absl::InfinitePast()) {
    cases_->Clear(record.subject, adoption.clear_at, !record.shadow, adoption.clear_shadow);
  }
  if (!adoption.gives_way.empty()) parts_->casebook.Forget(adoption.gives_way);
  if (!adoption.changes) return false;
  cases_->Changed(CaseChange::kAdopted, parts_->batch_clock, record);
  const bool open = record.state != CaseState::kClosed;
  // The node that opened it may not know of the exemption yet.
  if (open && !record.exempts()) cases_->CloseIfExempt(record);
  // What opened this node's own may have come after theirs was over.
  if (!adoption.gives_way.empty()) {
    const absl::Time now = parts_->ShownNow();
    if (open) cases_->EndIfOver(record, parts_->now);
    cases_->JudgeSubject(record.subject, now, now, /*newest=*/false, Basis::kAny);
    if (parts_->rows->AwaitsConfirmation(record.subject)) {
      parts_->ShareSubject(record.subject);
      parts_->rows->SetBad(record.subject);
      parts_->Wake();
    }
  }
  return open && record.exempts();
}

bool NodeExchange::CaseWaits(const Subject& subject) const {
  MutexLock lock(mutex_);
  return parts_->shared_cases->Waits(subject);
}

void NodeExchange::OnStoreUnreachable(Events* events) {
  MutexLock lock(mutex_);
  for (const Subject& subject : parts_->rows->OnStoreUnreachable()) {
    cases_->JudgeSubject(subject, parts_->ShownNow(), parts_->ShownNow(), /*newest=*/true,
                         Basis::kAny);
  }
  for (const Case& record : parts_->shared_cases->TakeUnannounced()) {
    parts_->happened.AddAnnouncement(record);
  }
  events->Append(parts_->TakeEvents());
}

std::vector<std::pair<CaseExchange::Name, int64_t>> NodeExchange::TakeCasesToDrop() {
  MutexLock lock(mutex_);
  return parts_->shared_cases->TakeDropped();
}

ExchangeStats NodeExchange::stats() const {
  MutexLock lock(mutex_);
  return {.waiting_subjects = parts_->rows->waiting(),
          .waiting_cases = parts_->shared_cases->waiting(),
          .unreadable_rows = parts_->refused.rows,
          .unreadable_cases = parts_->refused.cases,
          .refused_last = parts_->refused.last,
          .lost_subjects = parts_->row_check->lost(),
          .clock_offset = parts_->rows->measured_offset()};
}

}  // namespace deferd
