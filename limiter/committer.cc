#include "limiter/committer.h"

#include <chrono>
#include <deque>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/store/case_codec.h"
#include "limiter/store/receipt_codec.h"

namespace deferd {

namespace {

constexpr absl::string_view kRemembered[] = {"queue_", "mark_"};  // of what Remember keeps
constexpr int64_t kForgetAtOnce = 20'000;  // rows looked at while counting waits
constexpr int kMaxTries = 5;               // of gathering a receipt

}  // namespace

// Hands what is stored to the limiter, and to the sources.
class Committer::Visitor : public StateVisitor {
 public:
  explicit Visitor(Committer* committer) : committer_(committer), limiter_(committer->limiter_) {}

  absl::Status OnPosition(SourcePosition position) override {
    committer_->sources_[position.source].position = std::move(position.position);
    return absl::OkStatus();
  }
  absl::Status OnOpenMessage(std::string source, OpenMessage message) override {
    committer_->sources_[source].open_messages.push_back(std::move(message));
    return absl::OkStatus();
  }
  absl::Status OnWindow(StoredWindow window) override {
    return limiter_->stored().RestoreWindow(window);
  }
  absl::Status OnContribution(StoredText contribution) override {
    return limiter_->stored().RestoreContribution(contribution.text);
  }
  absl::Status OnClearing(StoredText clearing) override {
    return limiter_->stored().RestoreClearing(clearing.text);
  }
  absl::Status OnPlace(StoredText place) override {
    return limiter_->stored().RestorePlace(place.text);
  }
  absl::Status OnCase(StoredText record) override {
    const auto due = due_.find(record.name);
    if (due != due_.end()) {
      absl::StatusOr<Case> read = ParseCase(record.text);
      if (!read.ok()) return read.status();
      due_receipts_.emplace_back(*std::move(read), due->second);
    }
    return limiter_->stored().RestoreCase(record.text);
  }
  absl::Status OnNotice(StoredText notice) override {
    NoticeMaker* const notices = committer_->options_.notices;
    return notices == nullptr ? absl::OkStatus() : notices->outbox()->Restore(notice);
  }
  absl::Status OnEvent(StoredCaseEvent event) override {
    return limiter_->stored().RestoreEvent(event.text);
  }
  absl::Status OnFact(StoredText fact) override {
    if (fact.name == "limiter") return limiter_->stored().RestoreFacts(fact.text);
    absl::string_view name = fact.name;
    int64_t number = 0;
    if (!absl::SimpleAtoi(fact.text, &number)) {
      return absl::DataLossError(absl::StrCat("stored ", name, " is no number"));
    }
    if (name == Uncommitted::kRowsFact) rows_written_ = number;
    for (absl::string_view prefix : kRemembered) {
      if (absl::StartsWith(name, prefix)) committer_->remembered_[std::string(name)] = number;
    }
    if (absl::ConsumePrefix(&name, Uncommitted::kDueFact)) due_[std::string(name)] = number;
    return absl::OkStatus();
  }

  void Hand(Uncommitted* uncommitted) {
    uncommitted->RestoreRowsWritten(rows_written_);
    for (auto& [record, row] : due_receipts_) uncommitted->RestoreDue(std::move(record), row);
  }

 private:
  Committer* const committer_;
  Limiter* const limiter_;
  int64_t rows_written_ = 0;
  std::map<std::string, int64_t> due_;
  std::deque<std::pair<Case, int64_t>> due_receipts_;
};

Committer::Committer(CommitterOptions options, Limiter* limiter, LocalStore* store,
                     const Clock* clock)
    : options_(std::move(options)),
      limiter_(limiter),
      store_(store),
      gatherer_(store->NewReader()),
      reader_(store->NewReader()),
      clock_(clock),
      uncommitted_({.ledger = options_.ledger, .mail_subjects = options_.mail_subjects}) {}

Committer::~Committer() = default;

absl::Status Committer::Load() {
  Visitor visitor(this);
  absl::Status loaded = store_->Load(&visitor);
  if (!loaded.ok()) return loaded;
  Do([&](Events* events) { events->Append(limiter_->stored().FinishRestore()); });
  MutexLock lock(&mutex_);
  visitor.Hand(&uncommitted_);
  return absl::OkStatus();
}

std::map<std::string, KeptSource> Committer::TakeSources() { return std::exchange(sources_, {}); }

void Committer::Do(absl::FunctionRef<void(Events*)> change) {
  Events events;
  mutex_.Lock();
  change(&events);
  Note(events);
  tell_mutex_.Lock();
  mutex_.Unlock();
  for (Observer* one : options_.observers) events.Notify(one);
  tell_mutex_.Unlock();
}

void Committer::Note(const Events& events) {
  events.Notify(&uncommitted_);
  if (options_.notices != nullptr) events.Notify(options_.notices);
}

void Committer::Announce(Notice notice) {
  MutexLock lock(&mutex_);
  if (options_.notices != nullptr) options_.notices->outbox()->Add(std::move(notice));
}

void Committer::Record(const EventBatch& batch) {
  mutex_.Lock();
  const Events events = limiter_->Record(batch);
  uncommitted_.BeginBatch(batch.position.has_value() ? &batch.position->source : nullptr);
  Note(events);
  uncommitted_.EndBatch();
  if (batch.position.has_value()) positions_[batch.position->source] = batch.position->position;
  waiting_rows_.store(uncommitted_.waiting_rows(), std::memory_order_relaxed);
  lost_rows_.store(uncommitted_.lost_rows(), std::memory_order_relaxed);
  tell_mutex_.Lock();
  mutex_.Unlock();
  for (Observer* one : options_.observers) events.Notify(one);
  tell_mutex_.Unlock();
}

void Committer::Tick(absl::Duration slack) {
  Do([&](Events* events) { events->Append(limiter_->Tick(slack)); });
}

void Committer::SetSettings(Settings settings) {
  Do([&](Events* events) { events->Append(limiter_->SetSettings(std::move(settings))); });
}

Case Committer::Block(const Subject& subject, absl::Duration duration, const std::string& by,
                      const std::string& reason) {
  Case record;
  Do([&](Events* events) { record = limiter_->Block(subject, duration, by, reason, events); });
  return record;
}

absl::StatusOr<Case> Committer::Unblock(const Subject& subject, const std::string& by,
                                        const std::string& reason, HeldOrder held,
                                        absl::string_view only_case) {
  absl::StatusOr<Case> ended;
  Do([&](Events* events) {
    ended = limiter_->Unblock(subject, by, reason, held, events, only_case);
  });
  return ended;
}

absl::StatusOr<ForgetFilter> Committer::BeginForget(absl::string_view what) {
  absl::Status committed = Commit(/*durable=*/true);
  if (!committed.ok()) return committed;
  MutexLock lock(&mutex_);
  return store_->MakeForgetFilter(what);
}

absl::StatusOr<ForgetStep> Committer::ForgetRows(const ForgetFilter& filter,
                                                 const ForgetPlace& from, bool only_count) {
  MutexLock lock(&mutex_);
  return store_->ForgetRows(filter, from, kForgetAtOnce, only_count);
}

int64_t Committer::ForgetNotices(absl::FunctionRef<bool(const Notice&)> names, bool only_count) {
  MutexLock lock(&mutex_);
  if (options_.notices == nullptr) return 0;
  return options_.notices->outbox()->ForgetNamed(names, only_count);
}

absl::StatusOr<Committer::ForgottenReceipts> Committer::ForgetInReceipts(
    const ForgetFilter& filter, absl::Span<const Case> cases, bool only_count) {
  ForgottenReceipts forgotten;
  StoreBatch batch;
  batch.durable = true;
  batch.overwrite = true;
  MutexLock lock(&mutex_);
  // One that waits to be stored would bring the attempts back.
  absl::Status committed = CommitOnce(/*durable=*/true);
  if (!committed.ok()) return committed;
  for (const Case& record : cases) {
    absl::StatusOr<std::string> text = gatherer_->Receipt(record.id);
    if (absl::IsNotFound(text.status())) continue;
    if (!text.ok()) return text.status();
    absl::StatusOr<Receipt> receipt = ParseReceipt(*text);
    if (!receipt.ok()) return receipt.status();
    const size_t before = receipt->rows.size();
    std::erase_if(receipt->rows, [&](const LedgerRow& row) { return filter.Matches(row); });
    if (receipt->rows.size() == before) continue;
    ++forgotten.receipts;
    forgotten.attempts += static_cast<int64_t>(before - receipt->rows.size());
    if (only_count) continue;
    batch.receipts.push_back({record.id, ReceiptText(*receipt)});
    if (options_.on_receipt) options_.on_receipt(record, *receipt);
  }
  if (only_count) return forgotten;
  batch.now = clock_->Now();
  committed = store_->Commit(batch);
  if (!committed.ok()) return committed;
  return forgotten;
}

Case Committer::Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
                       const std::string& reason) {
  Case record;
  Do([&](Events* events) { record = limiter_->Exempt(subject, duration, by, reason, events); });
  return record;
}

absl::StatusOr<Case> Committer::EndExemption(const Subject& subject, const std::string& by,
                                             const std::string& reason) {
  absl::StatusOr<Case> ended;
  Do([&](Events* events) { ended = limiter_->EndExemption(subject, by, reason, events); });
  return ended;
}

void Committer::Remember(const std::string& name, std::optional<int64_t> number) {
  MutexLock lock(&mutex_);
  uncommitted_.AddFact(name, number.has_value() ? absl::StrCat(*number) : "");
}

absl::Status Committer::Commit(bool durable) {
  MutexLock lock(&mutex_);
  absl::Status committed = CommitOnce(durable);
  // A person does not wait for receipts. One that is not stored now is stored with the next commit.
  if (committed.ok() && !durable && GatherReceipts()) CommitOnce(/*durable=*/false).IgnoreError();
  return committed;
}

absl::Status Committer::CommitOnce(bool durable) {
  StoreBatch batch;
  limiter_->stored().CollectChanges(&batch);
  for (const auto& [source, position] : positions_) batch.positions.push_back({source, position});
  const bool waited = uncommitted_.Collect(&batch);
  Outbox* const outbox = options_.notices == nullptr ? nullptr : options_.notices->outbox();
  if (outbox != nullptr) outbox->Collect(&batch.notices);
  batch.now = clock_->Now();
  batch.durable = durable;
  const bool nothing = batch.positions.empty() && batch.windows.empty() && batch.events.empty() &&
                       batch.clearings.empty() && batch.contributions.empty() &&
                       batch.places.empty() && batch.cases.empty() && batch.notices.empty() &&
                       !waited && !(durable && undurable_);
  absl::Status committed = nothing ? absl::OkStatus() : store_->Commit(batch);
  limiter_->stored().ChangesSaved(committed.ok());
  if (outbox != nullptr) outbox->Saved(committed.ok());
  if (committed.ok() && !nothing) undurable_ = !durable;
  if (committed.ok()) positions_.clear();
  uncommitted_.Committed(committed.ok(), &batch);
  waiting_rows_.store(uncommitted_.waiting_rows(), std::memory_order_relaxed);
  if (!nothing) Settle(committed);
  return committed;
}

bool Committer::GatherReceipts() {
  // A log of last week may open thousands of cases; counting does not wait for all their receipts.
  constexpr int kAtOnce = 16;
  const auto enough = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
  bool any = false;
  for (int n = 0; n < kAtOnce; ++n) {
    if (n > 0 && std::chrono::steady_clock::now() > enough) break;
    std::optional<DueReceipt> due = uncommitted_.TakeDue();
    if (!due.has_value()) break;
    absl::StatusOr<Receipt> receipt =
        GatherReceipt(due->record, due->row, *limiter_->settings().policy, gatherer_.get());
    if (!receipt.ok() && ++due->tries < kMaxTries) {
      uncommitted_.PutOff(*std::move(due));
      break;
    }
    if (receipt.ok()) {
      if (options_.on_receipt) options_.on_receipt(due->record, *receipt);
      uncommitted_.AddReceipt(due->record.id, ReceiptText(*receipt));
      any = true;
    }
    uncommitted_.ReceiptDone(due->record.id);
  }
  return any;
}

std::optional<Receipt> Committer::ReceiptOf(const Case& record) const {
  absl::StatusOr<std::string> text = reader_->Receipt(record.id);
  if (!text.ok()) return std::nullopt;
  absl::StatusOr<Receipt> receipt = ParseReceipt(*text);
  if (!receipt.ok()) return std::nullopt;
  return *std::move(receipt);
}

void Committer::Settle(const absl::Status& committed) {
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

size_t Committer::ReceiptsDue() const {
  MutexLock lock(&mutex_);
  return uncommitted_.due();
}

Committer::Status Committer::status() const {
  MutexLock lock(&status_mutex_);
  Status status = status_;
  status.waiting_rows = waiting_rows_.load(std::memory_order_relaxed);
  status.lost_rows = lost_rows_.load(std::memory_order_relaxed);
  return status;
}

void Committer::SetWake(std::function<void()> wake) { limiter_->nodes().SetWake(std::move(wake)); }

void Committer::SetClockOffset(const ClockOffset& measured) {
  limiter_->nodes().SetClockOffset(measured);
}

void Committer::ShareAll() { limiter_->nodes().ShareAll(); }

void Committer::ShareCasesDue(absl::Duration soon) { limiter_->nodes().ShareCasesDue(soon); }

std::vector<RowPut> Committer::TakeRowsToPut(size_t most) {
  return limiter_->nodes().TakeRowsToPut(most);
}

void Committer::RowsNotPut(absl::Span<const RowPut> puts) { limiter_->nodes().RowsNotPut(puts); }

bool Committer::RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers) {
  bool opened = false;
  Do([&](Events* events) { opened = limiter_->nodes().RowsPut(puts, answers, events); });
  return opened;
}

void Committer::RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) {
  limiter_->nodes().RowsRead(keys, answers);
}

std::vector<RowKey> Committer::RowKeysOf(const Subject& subject) const {
  return limiter_->nodes().RowKeysOf(subject);
}

void Committer::SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at) {
  limiter_->nodes().SetNodes(nodes, at);
}

std::vector<RowKey> Committer::TakeRowsToCheck() { return limiter_->nodes().TakeRowsToCheck(); }

void Committer::RowsChecked(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) {
  limiter_->nodes().RowsChecked(keys, answers);
}

std::vector<RowKey> Committer::TakeCrowdedRows() { return limiter_->nodes().TakeCrowdedRows(); }

std::vector<SharedCase> Committer::TakeCasesToPut() { return limiter_->nodes().TakeCasesToPut(); }

bool Committer::CasePut(const SharedCase& sent, const CasePutAnswer& answer) {
  bool changed = false;
  Do([&](Events* events) { changed = limiter_->nodes().CasePut(sent, answer, events); });
  return changed;
}

void Committer::MergeCases(const std::vector<SharedCase>& theirs, bool all) {
  Do([&](Events* events) { limiter_->nodes().MergeCases(theirs, all, events); });
}

bool Committer::CaseWaits(const Subject& subject) const {
  return limiter_->nodes().CaseWaits(subject);
}

bool Committer::TakeWantsCases() { return limiter_->nodes().TakeWantsCases(); }

std::vector<std::pair<CaseExchange::Name, int64_t>> Committer::TakeCasesToDrop() {
  return limiter_->nodes().TakeCasesToDrop();
}

void Committer::OnStoreUnreachable() {
  Do([&](Events* events) { limiter_->nodes().OnStoreUnreachable(events); });
}

ExchangeStats Committer::stats() const { return limiter_->nodes().stats(); }

}  // namespace deferd
