#include "tests/limiter/store/memory_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "limiter/port/mutex.h"
#include "limiter/store/ledger_filter.h"
#include "limiter/store/ledger_segments.h"
#include "limiter/store/recipient_hash.h"

namespace deferd {

namespace {

using Texts = std::map<std::string, std::string>;

void Put(const std::vector<StoredText>& changes, Texts* texts) {
  for (const StoredText& change : changes) {
    if (change.text.empty()) {
      texts->erase(change.name);
    } else {
      (*texts)[change.name] = change.text;
    }
  }
}

struct Segment {
  LedgerSegment record;
  std::map<int64_t, LedgerRow> rows;
};

class MemoryStore : public LocalStore {
 public:
  MemoryStore(absl::string_view node, LedgerOptions options)
      : node_(node), options_(std::move(options)) {}

  absl::Status Load(StateVisitor* visitor) override {
    MutexLock lock(&mutex_);
    absl::Status status = absl::OkStatus();
    const auto each = [&](const auto& values, const auto& give) {
      for (auto it = values.begin(); status.ok() && it != values.end(); ++it) status = give(*it);
    };
    each(facts_, [&](const auto& one) { return visitor->OnFact({one.first, one.second}); });
    each(positions_, [&](const auto& one) { return visitor->OnPosition({one.first, one.second}); });
    std::map<std::tuple<std::string, absl::Time, std::string>, OpenMessage> by_arrival;
    for (const auto& [name, message] : open_messages_) {
      by_arrival[{name.first, message.key.arrival, name.second}] = message;
    }
    each(by_arrival, [&](const auto& one) {
      return visitor->OnOpenMessage(std::get<0>(one.first), one.second);
    });
    each(windows_, [&](const auto& one) {
      const auto& [kind, id, length, left_out] = one.first;
      return visitor->OnWindow({{kind, id}, length, one.second, left_out});
    });
    each(contributions_, [&](const auto& one) {
      return visitor->OnContribution({one.first, one.second});
    });
    each(clearings_, [&](const auto& one) { return visitor->OnClearing({one.first, one.second}); });
    each(places_, [&](const auto& one) { return visitor->OnPlace({one.first, one.second}); });
    each(cases_, [&](const auto& one) { return visitor->OnCase({one.first, one.second}); });
    each(notices_, [&](const auto& one) { return visitor->OnNotice({one.first, one.second}); });
    each(events_, [&](const auto& one) { return visitor->OnEvent(one); });
    return status;
  }

  absl::Status Commit(const StoreBatch& batch) override {
    MutexLock lock(&mutex_);
    for (const SourcePosition& one : batch.positions) positions_[one.source] = one.position;
    for (const StoredOpenMessage& one : batch.open_messages) {
      if (one.message.has_value()) {
        open_messages_[{one.source, one.id}] = *one.message;
      } else {
        open_messages_.erase({one.source, one.id});
      }
    }
    for (const StoredWindow& one : batch.windows) {
      const auto key = std::tuple(one.subject.kind, one.subject.id, one.length, one.left_out);
      if (one.row.empty()) {
        windows_.erase(key);
      } else {
        windows_[key] = one.row;
      }
    }
    Put(batch.contributions, &contributions_);
    Put(batch.clearings, &clearings_);
    Put(batch.places, &places_);
    Put(batch.cases, &cases_);
    Put(batch.receipts, &receipts_);
    for (const StoredText& one : batch.cases) {
      if (one.text.empty()) receipts_.erase(one.name);
    }
    Put(batch.notices, &notices_);
    Put(batch.facts, &facts_);
    events_.insert(events_.end(), batch.events.begin(), batch.events.end());
    while (static_cast<int64_t>(events_.size()) > kMaxEvents) events_.pop_front();
    return options_.enabled ? WriteRows(batch) : absl::OkStatus();
  }

  absl::StatusOr<ForgetFilter> MakeForgetFilter(absl::string_view what) override {
    MutexLock lock(&mutex_);
    const bool hidden = !recipient_key_.empty() && IsBareAddress(what);
    return ForgetFilter(what, hidden ? RecipientHash(recipient_key_).Hashed(what) : "");
  }

  // All at once, whatever `most` says.
  absl::StatusOr<ForgetStep> ForgetRows(const ForgetFilter& filter, const ForgetPlace& from,
                                        int64_t /*most*/, bool only_count) override {
    MutexLock lock(&mutex_);
    ForgetStep step{.done = true, .progress = 1};
    for (Segment& segment : segments_) {
      for (auto it = segment.rows.begin(); it != segment.rows.end();) {
        const bool match = it->first >= from.row && filter.Matches(it->second);
        if (match) ++step.matched;
        if (!match || only_count) {
          ++it;
          continue;
        }
        LedgerKeys keys;
        KeysOf(it->second, &keys);
        forgotten_until_ = std::max(forgotten_until_, it->second.time);
        --segment.record.rows;
        segment.record.bytes -= LedgerBytes(it->second, keys.size());
        it = segment.rows.erase(it);
      }
    }
    return step;
  }

  absl::Time forgotten_until() const {
    MutexLock lock(&mutex_);
    return forgotten_until_;
  }

  std::unique_ptr<LedgerReader> NewReader() override;

  absl::StatusOr<absl::Time> OldestTime() const {
    if (!options_.enabled) return LedgerIsOff();
    MutexLock lock(&mutex_);
    std::vector<LedgerSegment> records;
    if (!segments_.empty()) records.push_back(segments_.front().record);
    return OldestOf(records);
  }

  absl::StatusOr<LedgerPage> Search(const LedgerQuery& query) const {
    if (!options_.enabled) return LedgerIsOff();
    MutexLock lock(&mutex_);
    const LedgerFilter filter(query, recipient_key_.empty() || query.recipient.empty()
                                         ? ""
                                         : RecipientHash(recipient_key_).Hashed(query.recipient));
    std::map<int64_t, const LedgerRow*> found;
    for (const Segment& segment : segments_) {
      for (const auto& [key, row] : segment.rows) {
        if (filter.Matches(row)) found[key] = &row;
      }
    }
    LedgerPage page;
    for (auto it = found.rbegin(); it != found.rend() && query.limit > 0; ++it) {
      if (page.rows.size() == query.limit) {
        page.next = page.rows.back().row;
        break;
      }
      page.rows.push_back(*it->second);
    }
    return page;
  }

  absl::StatusOr<std::string> Receipt(absl::string_view case_id) const {
    MutexLock lock(&mutex_);
    const auto it = receipts_.find(std::string(case_id));
    if (it == receipts_.end()) return NoReceipt(case_id);
    return it->second;
  }

  std::vector<OpenMessage> OpenMessages(const absl::flat_hash_set<std::string>& ids) const {
    MutexLock lock(&mutex_);
    std::vector<OpenMessage> found;
    for (const auto& [name, message] : open_messages_) {
      if (ids.contains(message.key.id)) found.push_back(message);
    }
    return found;
  }

  Stats stats() const override {
    MutexLock lock(&mutex_);
    Stats stats;
    stats.segments = static_cast<int64_t>(segments_.size());
    stats.dropped_segments = dropped_segments_;
    for (const Segment& segment : segments_) stats.ledger_rows += segment.record.rows;
    stats.bytes = LedgerSize();
    return stats;
  }

 private:
  int64_t LedgerSize() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    int64_t bytes = 0;
    for (const Segment& segment : segments_) bytes += segment.record.bytes;
    return bytes;
  }

  bool Taken(int64_t key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return key == 0 || std::any_of(segments_.begin(), segments_.end(),
                                   [&](const Segment& one) { return one.rows.count(key) > 0; });
  }

  absl::Status WriteRows(const StoreBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (options_.hash_recipients && !batch.ledger.empty() && recipient_key_.empty()) {
      absl::StatusOr<std::string> key = RecipientHash::NewKey();
      if (!key.ok()) return key.status();
      recipient_key_ = *std::move(key);
    }
    for (LedgerRow row : batch.ledger) {
      if (segments_.empty() || IsFull(segments_.back().record, batch.now, options_)) {
        Segment& segment = segments_.emplace_back();
        segment.record.started = batch.now;
      }
      if (options_.hash_recipients) RecipientHash(recipient_key_).HideIn(&row);
      while (Taken(row.row)) ++row.row;
      row.time = TimeOfRowKey(row.row);
      row.arrival = ToMillisecond(row.arrival);
      row.node = node_;
      LedgerKeys keys;
      KeysOf(row, &keys);
      CountRow(row.row, LedgerBytes(row, keys.size()), batch.now, &segments_.back().record);
      segments_.back().rows[row.row] = row;
    }
    const auto expired = [&](const Segment& one) {
      return IsExpired(one.record, batch.now, options_);
    };
    const size_t before = segments_.size();
    segments_.erase(std::remove_if(segments_.begin(), segments_.end(), expired), segments_.end());
    while (segments_.size() > 1 && LedgerSize() > options_.max_bytes) segments_.pop_front();
    dropped_segments_ += static_cast<int64_t>(before - segments_.size());
    return absl::OkStatus();
  }

  const std::string node_;
  const LedgerOptions options_;
  mutable Mutex mutex_;
  std::map<std::string, LogPosition> positions_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, OpenMessage> open_messages_ ABSL_GUARDED_BY(mutex_);
  std::map<std::tuple<SubjectKind, std::string, absl::Duration, bool>, std::string> windows_
      ABSL_GUARDED_BY(mutex_);
  Texts contributions_ ABSL_GUARDED_BY(mutex_);
  Texts clearings_ ABSL_GUARDED_BY(mutex_);
  Texts places_ ABSL_GUARDED_BY(mutex_);
  Texts notices_ ABSL_GUARDED_BY(mutex_);
  Texts cases_ ABSL_GUARDED_BY(mutex_);
  Texts receipts_ ABSL_GUARDED_BY(mutex_);
  Texts facts_ ABSL_GUARDED_BY(mutex_);
  std::deque<StoredCaseEvent> events_ ABSL_GUARDED_BY(mutex_);
  std::deque<Segment> segments_ ABSL_GUARDED_BY(mutex_);
  int64_t dropped_segments_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string recipient_key_ ABSL_GUARDED_BY(mutex_);
  absl::Time forgotten_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

class MemoryReader : public LedgerReader {
 public:
  explicit MemoryReader(const MemoryStore* store) : store_(store) {}
  absl::StatusOr<LedgerPage> Search(const LedgerQuery& query) override {
    return store_->Search(query);
  }
  absl::StatusOr<absl::Time> OldestTime() override { return store_->OldestTime(); }
  absl::StatusOr<absl::Time> ForgottenUntil() override { return store_->forgotten_until(); }
  absl::StatusOr<std::string> Receipt(absl::string_view case_id) override {
    return store_->Receipt(case_id);
  }
  absl::StatusOr<std::vector<OpenMessage>> OpenMessages(
      const absl::flat_hash_set<std::string>& ids) override {
    return store_->OpenMessages(ids);
  }

 private:
  const MemoryStore* const store_;
};

std::unique_ptr<LedgerReader> MemoryStore::NewReader() {
  return std::make_unique<MemoryReader>(this);
}

}  // namespace

std::unique_ptr<LocalStore> NewMemoryStore(absl::string_view node, const LedgerOptions& options) {
  return std::make_unique<MemoryStore>(node, options);
}

}  // namespace deferd
