#include "limiter/sharing/publisher.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"
#include "limiter/store/receipt_codec.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kSubjectsAtOnce = 200;  // the limiter is locked while their rows are made
constexpr int kBatchesARound = 50;       // then cases and beats have their turn
constexpr int kRest = 3;
constexpr absl::Duration kLongestRest = absl::Milliseconds(50);
constexpr absl::Duration kDueSoon = absl::Seconds(5);
constexpr absl::Duration kFirstRetryPause = absl::Milliseconds(50);

}  // namespace

Publisher::Publisher(PublisherOptions options, std::unique_ptr<SharedStore> store,
                     Exchange* exchange, const Clock* clock)
    : options_(std::move(options)),
      store_(std::move(store)),
      exchange_(exchange),
      clock_(clock),
      jitter_(static_cast<uint32_t>(absl::ToUnixNanos(clock->Now()))) {
  exchange_->SetWake([this] { Wake(); });
}

Publisher::~Publisher() {
  Stop();
  exchange_->SetWake({});
}

absl::Status Publisher::Claim() {
  absl::Status status = store_->Connect();
  if (status.ok()) status = store_->SayBeat(options_.claim()).status();
  return status;
}

void Publisher::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Publisher::Stop() {
  {
    MutexLock lock(&mutex_);
    if (std::exchange(stopping_, true)) return;
    changed_.NotifyAll();
  }
  if (!thread_.joinable()) return;
  thread_.join();
  if (!store_->connected()) return;
  Round();
  if (store_->connected() && claimed_) {
    store_->SayEnd(options_.claim().session).IgnoreError();  // it goes by itself after a while
  }
}

void Publisher::Run() {
  while (true) {
    const absl::Duration began = clock_->Elapsed();
    const Pause pause = Round();
    // When much changes all the time it rests longer than it works: what changes again meanwhile is
    // put once, and counting has the machine. When little does, it has hardly worked.
    const absl::Duration worked = clock_->Elapsed() - began;
    Rest({std::min(kRest * worked, kLongestRest), false});
    if (!Rest(pause)) return;
  }
}

bool Publisher::Rest(const Pause& pause) {
  MutexLock lock(&mutex_);
  const absl::Duration until = clock_->Elapsed() + pause.at_most;
  while (!stopping_ && !(woken_ && pause.woken)) {
    const absl::Duration left = until - clock_->Elapsed();
    if (left <= absl::ZeroDuration() || !changed_.WaitFor(&mutex_, left)) break;
  }
  if (pause.woken) woken_ = false;
  return !stopping_;
}

void Publisher::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  changed_.NotifyAll();
}

Publisher::Pause Publisher::Round() {
  const absl::Status status = DoRound();
  Heard(status);
  if (status.ok()) return AfterGoodRound();
  const SharedTrouble trouble = TroubleOf(status);
  // Another server may be the master by now.
  reconnect_ = trouble == SharedTrouble::kReadOnly || trouble == SharedTrouble::kUnexpected;
  // Who waits to tell people does not wait for a store that may stay away.
  exchange_->OnStoreUnreachable();
  // A store of several that is there but for one of them: the others go on as always.
  if (store_->connected() && !reconnect_ && status == missing_) {
    return AfterGoodRound();
  }
  failures_ = std::min(failures_ + 1, 10);
  absl::Duration pause = std::min(kFirstRetryPause * (1 << failures_), kLongestPause);
  jitter_ = jitter_ * 1664525 + 1013904223;  // so that many nodes do not come back at once
  pause = pause / 2 + pause / 2 * ((jitter_ >> 16) / 65536.0);
  return {pause, false};
}

Publisher::Pause Publisher::AfterGoodRound() {
  failures_ = 0;
  if (more_) return {absl::ZeroDuration(), true};
  const absl::Duration since_beat = clock_->Elapsed() - last_beat_;
  return {std::clamp(kBeat - since_beat, absl::Milliseconds(1), kBeat), true};
}

absl::Status Publisher::DoRound() {
  more_ = false;
  if (!store_->connected() || std::exchange(reconnect_, false)) {
    claimed_ = false;
    absl::Status connected = store_->Connect();
    if (!connected.ok()) return connected;
    missing_ = absl::OkStatus();
    MutexLock lock(&mutex_);
    ++status_.connections;
    status_.synced = false;
  }
  if (!claimed_ || clock_->Elapsed() - last_beat_ >= kBeat) {
    absl::Status said = SayBeat();
    if (!said.ok()) return said;
    absl::Status checked = CheckRows();
    if (!checked.ok()) return checked;
  }
  // What a person waits for first. One thing that cannot be put does not hold up the others.
  absl::Status status = missing_;
  status.Update(PutCases());
  if (!store_->connected()) return status;
  status.Update(PutRows(&more_));
  if (!store_->connected()) return status;
  status.Update(PutReceipts());
  status.Update(DropCases());
  if (store_->connected()) status.Update(DropStrangers());
  if (status.ok() && !more_) {
    MutexLock lock(&mutex_);
    status_.synced = true;
  }
  return status;
}

absl::Status Publisher::SayBeat() {
  const absl::Duration before = clock_->Elapsed();
  absl::StatusOr<Beat> beat = store_->SayBeat(options_.claim());
  if (!beat.ok()) return beat.status();
  last_beat_ = clock_->Elapsed();
  missing_ = beat->missing;
  exchange_->SetClockOffset(ClockOffset(last_beat_ - before, beat->server_time, clock_->Now()));
  const bool another = beat->generation != generation_;
  if (another && !generation_.empty()) {
    spdlog::warn("redis: it was emptied, is another one, or is back: everything is put again");
  }
  generation_ = beat->generation;
  const bool first = !std::exchange(claimed_, true);
  if (first || another) {
    exchange_->ShareAll();
    if (options_.on_new_store) options_.on_new_store();
  }
  exchange_->SetNodes(beat->nodes, beat->server_time);
  exchange_->ShareCasesDue(kDueSoon);
  TellRefused();
  MutexLock lock(&mutex_);
  if (missing_.ok()) status_.heard = last_beat_;
  status_.generation = generation_;
  status_.nodes = std::move(beat->nodes);
  status_.nodes_at = beat->server_time;
  return absl::OkStatus();
}

// Rows that the store has forgotten are put again, in this round.
absl::Status Publisher::CheckRows() {
  const std::vector<RowKey> keys = exchange_->TakeRowsToCheck();
  if (keys.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<RowAnswer>> answers = store_->ReadRows(keys);
  if (!answers.ok()) return answers.status();
  exchange_->RowsChecked(keys, *answers);
  TellLost();
  return absl::OkStatus();
}

absl::Status Publisher::PutCases() {
  absl::Status status;
  for (const SharedCase& record : exchange_->TakeCasesToPut()) {
    absl::StatusOr<CasePutAnswer> answer = store_->PutCase(record);
    status.Update(answer.status());
    if (!store_->connected()) break;
    if (!answer.ok()) continue;
    const bool won = answer->written || answer->now == record;
    exchange_->CasePut(record, *answer);
    MutexLock lock(&mutex_);
    ++(won ? status_.cases_won : status_.cases_lost);
  }
  return status;
}

absl::Status Publisher::PutRows(bool* more) {
  absl::Status status;
  for (int batch = 0; batch < kBatchesARound; ++batch) {
    const std::vector<RowPut> puts = exchange_->TakeRowsToPut(kSubjectsAtOnce);
    if (puts.empty()) return status;
    absl::StatusOr<std::vector<RowAnswer>> answers = store_->PutRows(puts);
    if (!answers.ok()) {
      exchange_->RowsNotPut(puts);
      return answers.status();
    }
    int64_t put = 0;
    for (const RowAnswer& answer : *answers) {
      status.Update(answer.status);
      if (answer.status.ok()) ++put;
    }
    {
      MutexLock lock(&mutex_);
      status_.rows_put += put;
    }
    const bool opened = exchange_->RowsPut(puts, *answers);
    if (exchange_->TakeWantsCases()) {
      absl::StatusOr<std::vector<SharedCase>> cases = store_->ReadCases();
      status.Update(cases.status());
      if (!store_->connected()) return status;
      if (cases.ok()) {
        exchange_->MergeCases(*cases, /*all=*/false);
      }
    }
    if (!opened) continue;
    // Told to others once it is stored here.
    exchange_->CommitNow();
    status.Update(PutCases());
    if (!store_->connected()) return status;
  }
  *more = true;
  return status;
}

absl::Status Publisher::PutReceipts() {
  std::deque<Receipt> receipts;
  {
    MutexLock lock(&mutex_);
    receipts.swap(receipts_);
  }
  absl::Status status;
  std::deque<Receipt> left;
  for (Receipt& receipt : receipts) {  // of several servers one may be in trouble
    absl::Status put = TroubleStatus(SharedTrouble::kGone, "there is no connection");
    if (store_->connected()) {
      put = store_->PutReceipt(receipt.subject, receipt.case_id, receipt.text,
                               options_.keep_receipts);
    }
    status.Update(put);
    // A key of another type stays one.
    if (!put.ok() && TroubleOf(put) != SharedTrouble::kWrongType) {
      left.push_back(std::move(receipt));
    }
  }
  MutexLock lock(&mutex_);
  receipts_.insert(receipts_.begin(), std::make_move_iterator(left.begin()),
                   std::make_move_iterator(left.end()));
  return status;
}

absl::Status Publisher::DropCases() {
  auto more = exchange_->TakeCasesToDrop();
  to_drop_.insert(to_drop_.end(), more.begin(), more.end());
  while (!to_drop_.empty()) {
    const auto& [name, rev] = to_drop_.back();
    absl::Status status = store_->DropCase(name.first, name.second, rev);
    if (!status.ok()) return status;
    to_drop_.pop_back();
  }
  return absl::OkStatus();
}

// Rows under names that are none of the nodes', where they are too many to be read.
absl::Status Publisher::DropStrangers() {
  std::vector<std::string> nodes;
  {
    MutexLock lock(&mutex_);
    for (const NodeRecord& one : status_.nodes) nodes.push_back(one.node);
  }
  const std::vector<RowKey> crowded = exchange_->TakeCrowdedRows();
  crowded_.insert(crowded_.end(), crowded.begin(), crowded.end());
  absl::Status status;
  std::vector<RowKey> left;
  for (RowKey& key : crowded_) {
    absl::Status dropped = store_->connected()
                               ? store_->DropOtherRows(key, nodes)
                               : TroubleStatus(SharedTrouble::kGone, "there is no connection");
    status.Update(dropped);
    if (!dropped.ok()) {
      left.push_back(std::move(key));
      continue;
    }
    spdlog::warn("redis: the rows of {} were more than there can be nodes: strangers' are dropped",
                 Quoted(key.subject.ToString()));
  }
  crowded_ = std::move(left);
  return status;
}

int64_t Publisher::ToTell(int64_t count, Told* told) const {
  const absl::Duration now = clock_->Elapsed();
  if (count == told->count || now - told->at < absl::Minutes(1)) return 0;
  told->at = now;
  return count - std::exchange(told->count, count);
}

// What other nodes put and nobody can have meant.
void Publisher::TellRefused() {
  const ExchangeStats stats = exchange_->stats();
  const int64_t refused = ToTell(stats.unreadable_rows + stats.unreadable_cases, &refused_told_);
  if (refused == 0) return;
  spdlog::warn("redis: {} values refused, the last: {}", refused, stats.refused_last);
}

void Publisher::TellLost() {
  const int64_t lost = ToTell(exchange_->stats().lost_subjects, &lost_told_);
  if (lost == 0) return;
  spdlog::warn(
      "redis: the rows of {} subjects were missing and are written again; check that "
      "maxmemory-policy is noeviction",
      lost);
}

void Publisher::PutReceipt(const Case& record, const std::vector<LedgerRow>& rows) {
  Receipt receipt = {record.subject, record.id, SharedReceiptText(rows)};
  MutexLock lock(&mutex_);
  if (receipts_.size() >= kMaxReceipts) return;
  receipts_.push_back(std::move(receipt));
  woken_ = true;
  changed_.NotifyAll();
}

void Publisher::Heard(const absl::Status& status) {
  const SharedTrouble trouble = TroubleOf(status);
  bool turned = false;
  {
    MutexLock lock(&mutex_);
    turned = trouble != status_.trouble;
    if (turned) status_.trouble_since = clock_->Now();
    status_.trouble = trouble;
    status_.problem = std::string(status.message());
    if (!status.ok()) ++status_.troubles[static_cast<int>(trouble)];
    if (status.ok()) status_.trouble_since = absl::InfiniteFuture();
    ++rounds_;
    changed_.NotifyAll();
  }
  if (!turned) return;
  if (status.ok()) {
    spdlog::info("redis: shared again");
  } else {
    spdlog::warn("redis: {}; local counts decide", status);
  }
}

absl::Status Publisher::WaitForCase(const Subject& subject, absl::Duration at_most) {
  const absl::Duration until = clock_->Elapsed() + at_most;
  while (true) {
    int64_t seen = 0;
    {
      MutexLock lock(&mutex_);
      seen = rounds_;
    }
    if (!exchange_->CaseWaits(subject)) return absl::OkStatus();
    MutexLock lock(&mutex_);
    while (rounds_ == seen) {
      if (status_.trouble != SharedTrouble::kNone) {
        return absl::UnavailableError(absl::StrCat("redis: ", status_.problem));
      }
      const absl::Duration left = until - clock_->Elapsed();
      if (stopping_ || left <= absl::ZeroDuration()) {
        return absl::UnavailableError("redis: no answer in time");
      }
      changed_.WaitFor(&mutex_, left);
    }
  }
}

Publisher::Status Publisher::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

}  // namespace deferd
