#include "limiter/uncommitted.h"

#include "absl/strings/str_cat.h"

namespace deferd {

void Uncommitted::OnAttempt(const Attempt& attempt, const ChargedSubjects& charged,
                            LeftOut left_out, const Classification* answer) {
  AddRow(attempt, charged, attempt.outcome, left_out, answer);
}

void Uncommitted::OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                            const Classification* answer) {
  switch (event.kind) {
    case LogEvent::Kind::kArrived:
      AddRow(event.attempt, charged, Outcome::kQueued,
             event.attempt.handed_over ? LeftOut::kInternalHost : LeftOut::kCounts, nullptr);
      KeepOpen(event);
      break;
    case LogEvent::Kind::kIdentified:
      KeepOpen(event);
      break;
    case LogEvent::Kind::kCompleted:
    case LogEvent::Kind::kForgotten:
      KeepClosed(event.attempt.message.id);
      break;
    case LogEvent::Kind::kShown:
      AddRow(event.attempt, charged, event.attempt.outcome, LeftOut::kCounts, answer);
      break;
    case LogEvent::Kind::kAttempt:
    case LogEvent::Kind::kAccepted:
      break;
  }
}

void Uncommitted::KeepOpen(const LogEvent& event) {
  if (source_ == nullptr) return;
  const Attempt& attempt = event.attempt;
  const auto [it, first] = open_changes_.try_emplace({*source_, attempt.message.id});
  if (first) it->second.is_new = event.kind == LogEvent::Kind::kArrived;
  it->second.message = OpenMessage{attempt.message, attempt.identity, event.deferred};
}

void Uncommitted::KeepClosed(const std::string& id) {
  if (source_ == nullptr) return;
  const auto [it, first] = open_changes_.try_emplace({*source_, id});
  if (!first && it->second.is_new) {
    open_changes_.erase(it);
  } else {
    it->second.message.reset();
  }
}

void Uncommitted::AddRow(const Attempt& attempt, const ChargedSubjects& charged, Outcome outcome,
                         LeftOut left_out, const Classification* answer) {
  if (!options_.ledger) return;
  if (rows_.size() >= kMaxRows) {
    ++lost_rows_;
    return;
  }
  LedgerRow& row = rows_.emplace_back();
  row.row = LedgerRowKey(attempt.time, ++rows_written_);
  row.time = attempt.time;
  row.message_id = attempt.message.id;
  row.arrival = attempt.message.arrival;
  if (!charged.empty()) row.subject = charged.back().subject.ToString();
  if (charged.size() > 1) row.narrower = charged.front().subject.ToString();
  row.sender = attempt.identity.sender;
  row.login = attempt.identity.login;
  row.user = attempt.identity.user;
  if (options_.mail_subjects) row.mail_subject = attempt.mail_subject;
  row.recipient = attempt.recipient;
  row.original = attempt.original;
  row.router = attempt.router;
  row.transport = attempt.transport;
  row.host = attempt.host;
  row.host_ip = attempt.host_ip;
  row.outcome = outcome;
  row.left_out = left_out;
  if (answer != nullptr) row.reply_class = std::string(ReplyClassName(answer->reply_class));
  row.reply = attempt.reply;
}

void Uncommitted::OnCase(CaseChange change, const Case& record) {
  if (change != CaseChange::kOpened && change != CaseChange::kAdopted) return;
  if (change == CaseChange::kAdopted) {
    if (record.manual || record.state != CaseState::kBlocked) return;
    if (adopted_.size() > kMaxRows) adopted_.clear();
    if (!adopted_.insert(record.id).second) return;
  }
  AddDue(record, record.since);
}

void Uncommitted::OnJudgedAgain(const Case& record) {
  std::erase_if(due_, [&](const DueReceipt& due) { return due.record.id == record.id; });
  AddDue(record, record.judged_at);
}

// While a batch is told, the row of the attempt that made a case trip is the last one. Else a case
// is opened by what other nodes say: then it is any row up to that time.
void Uncommitted::AddDue(const Case& record, absl::Time tripped) {
  if (in_batch_ ? rows_.empty() : !options_.ledger) return;
  const int64_t row = in_batch_ ? rows_.back().row : LedgerRowKey(tripped, rows_written_);
  due_.push_back({record, row, 0});
  AddFact(absl::StrCat(kDueFact, record.id), absl::StrCat(row));
}

std::optional<DueReceipt> Uncommitted::TakeDue() {
  if (due_.empty()) return std::nullopt;
  DueReceipt due = std::move(due_.front());
  due_.pop_front();
  return due;
}

void Uncommitted::ReceiptDone(const std::string& case_id) {
  AddFact(absl::StrCat(kDueFact, case_id), "");
}

bool Uncommitted::Collect(StoreBatch* batch) {
  for (const auto& [key, change] : open_changes_) {
    batch->open_messages.push_back({key.first, key.second, change.message});
  }
  batch->receipts = receipts_;
  batch->facts.insert(batch->facts.end(), facts_.begin(), facts_.end());
  batch->facts.push_back({std::string(kRowsFact), absl::StrCat(rows_written_)});
  batch->ledger.swap(rows_);
  return !open_changes_.empty() || !receipts_.empty() || !facts_.empty() || !batch->ledger.empty();
}

void Uncommitted::Committed(bool stored, StoreBatch* batch) {
  if (stored) {
    open_changes_.clear();
    receipts_.clear();
    facts_.clear();
    batch->ledger.clear();
  }
  rows_.swap(batch->ledger);
}

}  // namespace deferd
