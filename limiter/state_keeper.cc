#include "limiter/state_keeper.h"

#include <chrono>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/store/state_text.h"

namespace deferd {

namespace {

constexpr char kQueuePrefix[] = "queue_";  // of what Remember keeps
constexpr char kRowsFact[] = "ledger_rows_written";
constexpr int kMaxTries = 5;                 // of gathering a receipt
constexpr char kDueFact[] = "receipt_due:";  // and the case's id

}  // namespace

// Hands what is stored to the limiter, and to the sources.
class StateKeeper::Visitor : public StateVisitor {
 public:
  explicit Visitor(StateKeeper* keeper) : keeper_(keeper), limiter_(keeper->limiter_) {}

  absl::Status OnPosition(SourcePosition position) override {
    keeper_->sources_[position.source].position = std::move(position.position);
    return absl::OkStatus();
  }
  absl::Status OnOpenMessage(std::string source, OpenMessage message) override {
    keeper_->sources_[source].open_messages.push_back(std::move(message));
    return absl::OkStatus();
  }
  absl::Status OnWindow(StoredWindow window) override { return limiter_->RestoreWindow(window); }
  absl::Status OnContribution(StoredText contribution) override {
    return limiter_->RestoreContribution(contribution.text);
  }
  absl::Status OnClearing(StoredText clearing) override {
    return limiter_->RestoreClearing(clearing.text);
  }
  absl::Status OnPlace(StoredText place) override { return limiter_->RestorePlace(place.text); }
  absl::Status OnCase(StoredText record) override {
    const auto due = due_.find(record.name);
    if (due != due_.end()) {
      absl::StatusOr<Case> read = ParseCase(record.text);
      if (!read.ok()) return read.status();
      due_receipts_.push_back({*std::move(read), due->second, 0});
    }
    return limiter_->RestoreCase(record.text);
  }
  absl::Status OnEvent(StoredCaseEvent event) override {
    return limiter_->RestoreEvent(event.text);
  }
  absl::Status OnFact(StoredText fact) override {
    if (fact.name == "limiter") return limiter_->RestoreFacts(fact.text);
    absl::string_view name = fact.name;
    int64_t number = 0;
    if (!absl::SimpleAtoi(fact.text, &number)) {
      return absl::DataLossError(absl::StrCat("stored ", name, " is no number"));
    }
    if (name == kRowsFact) rows_written_ = number;
    if (absl::StartsWith(name, kQueuePrefix)) keeper_->remembered_[std::string(name)] = number;
    if (absl::ConsumePrefix(&name, kDueFact)) due_[std::string(name)] = number;
    return absl::OkStatus();
  }

  int64_t rows_written() const { return rows_written_; }
  std::deque<DueReceipt> TakeDue() { return std::move(due_receipts_); }

 private:
  StateKeeper* const keeper_;
  Limiter* const limiter_;
  int64_t rows_written_ = 0;
  std::map<std::string, int64_t> due_;
  std::deque<DueReceipt> due_receipts_;
};

StateKeeper::StateKeeper(const StateKeeperOptions& options, LocalStore* store, const Clock* clock)
    : options_(options),
      store_(store),
      gatherer_(store->NewReader()),
      reader_(store->NewReader()),
      clock_(clock) {}

void StateKeeper::Remember(const std::string& name, std::optional<int64_t> number) {
  MutexLock lock(&mutex_);
  facts_.push_back({name, number.has_value() ? absl::StrCat(*number) : ""});
}

absl::Status StateKeeper::Load(Limiter* limiter) {
  limiter_ = limiter;
  Visitor visitor(this);
  absl::Status loaded = store_->Load(&visitor);
  if (!loaded.ok()) return loaded;
  limiter->FinishRestore();
  MutexLock lock(&mutex_);
  rows_written_ = visitor.rows_written();
  receipts_due_ = visitor.TakeDue();
  return absl::OkStatus();
}

std::map<std::string, KeptSource> StateKeeper::TakeSources() { return std::exchange(sources_, {}); }

void StateKeeper::Record(const EventBatch& batch) {
  MutexLock lock(&mutex_);
  source_ = batch.position.has_value() ? &batch.position->source : nullptr;
  limiter_->Record(batch);
  if (batch.position.has_value()) positions_[*source_] = batch.position->position;
}

void StateKeeper::Between(absl::FunctionRef<void(Limiter*)> change) {
  MutexLock lock(&mutex_);
  between_ = true;
  change(limiter_);
  between_ = false;
}

// OnAttempt and OnMessage are called by the limiter from within Record, which holds mutex_.
void StateKeeper::OnAttempt(const Attempt& attempt, const ChargedSubjects& charged,
                            LeftOut left_out,
                            const Classification* answer) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  AddRow(attempt, charged, attempt.outcome, left_out, answer);
}

void StateKeeper::OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                            const Classification* answer) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  switch (event.kind) {
    case LogEvent::Kind::kArrived:
      AddRow(event.attempt, charged, Outcome::kQueued, LeftOut::kCounts, nullptr);
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
      break;
  }
}

void StateKeeper::KeepOpen(const LogEvent& event) {
  if (source_ == nullptr) return;
  const Attempt& attempt = event.attempt;
  const auto [it, first] = open_changes_.try_emplace({*source_, attempt.message.id});
  if (first) it->second.is_new = event.kind == LogEvent::Kind::kArrived;
  it->second.message = OpenMessage{attempt.message, attempt.identity, event.deferred};
}

void StateKeeper::KeepClosed(const std::string& id) {
  if (source_ == nullptr) return;
  const auto [it, first] = open_changes_.try_emplace({*source_, id});
  if (!first && it->second.is_new) {
    open_changes_.erase(it);
  } else {
    it->second.message.reset();
  }
}

void StateKeeper::AddRow(const Attempt& attempt, const ChargedSubjects& charged, Outcome outcome,
                         LeftOut left_out, const Classification* answer) {
  if (!options_.ledger) return;
  if (rows_.size() >= kMaxHeldRows) {
    MutexLock lock(&status_mutex_);
    ++status_.lost_rows;
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

// While a batch is counted, the row of the attempt that made a case trip is the last one. Between
// batches a case is opened by what other nodes say: then it is any row up to that time.
void StateKeeper::OnCase(CaseChange change, const Case& record) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  if (change != CaseChange::kOpened && change != CaseChange::kAdopted) return;
  if (change == CaseChange::kAdopted) {
    if (record.manual || record.state != CaseState::kBlocked) return;
    if (adopted_.size() > kMaxHeldRows) adopted_.clear();
    if (!adopted_.insert(record.id).second) return;
  }
  if (between_ ? !options_.ledger : rows_.empty()) return;
  const int64_t row = between_ ? LedgerRowKey(record.since, rows_written_) : rows_.back().row;
  receipts_due_.push_back({record, row, 0});
  facts_.push_back({absl::StrCat(kDueFact, record.id), absl::StrCat(row)});
}

absl::Status StateKeeper::Commit(bool durable) {
  MutexLock lock(&mutex_);
  absl::Status committed = CommitOnce(durable);
  // A person does not wait for receipts. One that is not stored now is stored with the next commit.
  if (committed.ok() && !durable && GatherReceipts()) CommitOnce(/*durable=*/false).IgnoreError();
  return committed;
}

absl::Status StateKeeper::CommitOnce(bool durable) {
  StoreBatch batch;
  limiter_->CollectChanges(&batch);
  for (const auto& [source, position] : positions_) batch.positions.push_back({source, position});
  for (const auto& [key, change] : open_changes_) {
    batch.open_messages.push_back({key.first, key.second, change.message});
  }
  batch.receipts = receipts_;
  batch.facts.insert(batch.facts.end(), facts_.begin(), facts_.end());
  batch.facts.push_back({kRowsFact, absl::StrCat(rows_written_)});
  batch.ledger.swap(rows_);
  batch.now = clock_->Now();
  batch.durable = durable;
  const bool nothing = batch.positions.empty() && batch.windows.empty() && batch.events.empty() &&
                       batch.clearings.empty() && batch.contributions.empty() &&
                       batch.places.empty() && batch.cases.empty() && batch.receipts.empty() &&
                       batch.ledger.empty() && batch.open_messages.empty() && facts_.empty() &&
                       !(durable && undurable_);
  absl::Status committed = nothing ? absl::OkStatus() : store_->Commit(batch);
  limiter_->ChangesSaved(committed.ok());
  if (committed.ok() && !nothing) undurable_ = !durable;
  if (committed.ok()) {
    positions_.clear();
    open_changes_.clear();
    receipts_.clear();
    facts_.clear();
    batch.ledger.clear();
  }
  rows_.swap(batch.ledger);
  waiting_rows_.store(rows_.size(), std::memory_order_relaxed);
  if (!nothing) Settle(committed);
  return committed;
}

bool StateKeeper::GatherReceipts() {
  // A log of last week may open thousands of cases; counting does not wait for all their receipts.
  constexpr int kAtOnce = 16;
  const auto enough = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  for (int n = 0; n < kAtOnce && !receipts_due_.empty(); ++n) {
    if (n > 0 && std::chrono::steady_clock::now() > enough) break;
    DueReceipt due = std::move(receipts_due_.front());
    receipts_due_.pop_front();
    absl::StatusOr<Receipt> receipt =
        GatherReceipt(due.record, due.row, *limiter_->settings().policy, gatherer_.get());
    if (!receipt.ok() && ++due.tries < kMaxTries) {
      receipts_due_.push_back(std::move(due));
      return !receipts_.empty();
    }
    if (receipt.ok()) {
      if (options_.on_receipt) options_.on_receipt(due.record, *receipt);
      receipts_.push_back({due.record.id, ReceiptText(*receipt)});
    }
    facts_.push_back({absl::StrCat(kDueFact, due.record.id), ""});
  }
  return !receipts_.empty();
}

std::optional<Receipt> StateKeeper::ReceiptOf(const Case& record) const {
  absl::StatusOr<std::string> text = reader_->Receipt(record.id);
  if (!text.ok()) return std::nullopt;
  absl::StatusOr<Receipt> receipt = ParseReceipt(*text);
  if (!receipt.ok()) return std::nullopt;
  return *std::move(receipt);
}

void StateKeeper::Settle(const absl::Status& committed) {
  MutexLock lock(&status_mutex_);
  if (committed.ok()) {
    ++status_.commits;
    status_.problem.clear();
    status_.failing_since = absl::InfiniteFuture();
    return;
  }
  ++status_.failures;
  if (status_.problem.empty()) status_.failing_since = clock_->Now();
  status_.problem = std::string(committed.message());
}

size_t StateKeeper::ReceiptsDue() const {
  MutexLock lock(&mutex_);
  return receipts_due_.size();
}

StateKeeper::Status StateKeeper::status() const {
  MutexLock lock(&status_mutex_);
  Status status = status_;
  status.waiting_rows = waiting_rows_.load(std::memory_order_relaxed);
  return status;
}

}  // namespace deferd
