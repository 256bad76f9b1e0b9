#include "tests/limiter/store/memory_shared_store.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/window_row.h"

namespace deferd {

namespace {

std::vector<SharedRow> RowsOf(const std::map<std::string, SharedRow>& hash) {
  std::vector<SharedRow> rows;
  for (const auto& [node, row] : hash) rows.push_back(row);
  return rows;
}

}  // namespace

class MemorySharedStore : public SharedStore {
 public:
  MemorySharedStore(MemorySharedServer* server, const SharedStoreOptions& options)
      : server_(server), options_(options) {}

  absl::Status Connect() override {
    MutexLock lock(&server_->mutex_);
    connected_ = false;
    if (server_->trouble_ == SharedTrouble::kGone || server_->trouble_ == SharedTrouble::kSlow ||
        server_->trouble_ == SharedTrouble::kPassword || server_->trouble_ == SharedTrouble::kTls ||
        server_->trouble_ == SharedTrouble::kReadOnly) {
      return TroubleStatus(server_->trouble_, "on cue");
    }
    connected_ = true;
    breaks_ = server_->breaks_;
    return absl::OkStatus();
  }

  bool connected() const override {
    MutexLock lock(&server_->mutex_);
    return connected_ && breaks_ == server_->breaks_;
  }

  absl::StatusOr<std::vector<RowAnswer>> PutRows(absl::Span<const RowPut> puts) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    std::vector<RowAnswer> answers;
    for (const RowPut& put : puts) {
      auto& hash = server_->hashes_[RowKeyText(put.key)];
      auto old = hash.find(options_.node);
      double old_version = -1;
      if (old != hash.end()) std::memcpy(&old_version, old->second.row.data(), sizeof(double));
      if (!(old_version >= put.version && old_version < kMostVersion)) {
        hash[options_.node] = {options_.node, put.row};
      }
      const bool crowded = hash.size() > kMostRows;
      answers.push_back({absl::OkStatus(),
                         crowded ? std::vector<SharedRow>{hash[options_.node]} : RowsOf(hash),
                         crowded});
    }
    return answers;
  }

  absl::StatusOr<std::vector<RowAnswer>> ReadRows(absl::Span<const RowKey> keys) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/false);
    if (!ready.ok()) return ready;
    std::vector<RowAnswer> answers;
    for (const RowKey& key : keys) {
      auto found = server_->hashes_.find(RowKeyText(key));
      answers.push_back({absl::OkStatus(), found == server_->hashes_.end()
                                               ? std::vector<SharedRow>()
                                               : RowsOf(found->second)});
    }
    return answers;
  }

  absl::Status DropOtherRows(const RowKey& key, const std::vector<std::string>& nodes) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    std::erase_if(server_->hashes_[RowKeyText(key)], [&](const auto& row) {
      return std::find(nodes.begin(), nodes.end(), row.first) == nodes.end();
    });
    return absl::OkStatus();
  }

  absl::Status ForEachKey(absl::Duration window,
                          absl::FunctionRef<void(std::vector<RowKey>)> tell) override {
    std::vector<RowKey> keys;
    {
      MutexLock lock(&server_->mutex_);
      absl::Status ready = Ready(/*writes=*/false);
      if (!ready.ok()) return ready;
      for (const auto& [text, hash] : server_->hashes_) {
        absl::StatusOr<RowKey> key = ParseRowKey(text);
        if (key.ok() && key->window == window) keys.push_back(*std::move(key));
      }
    }
    if (!keys.empty()) tell(std::move(keys));
    return absl::OkStatus();
  }

  absl::StatusOr<CasePutAnswer> PutCase(const SharedCase& record) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    SharedCase stored = record;
    stored.seen = SharedCase::kNotSeen;
    auto [it, fresh] =
        server_->cases_.try_emplace(CaseField(record.subject, record.shadow), stored);
    if (!fresh) {
      const SharedCase& old = it->second;
      const bool unseen = record.seen >= 0 ? old.rev > record.seen
                                           : old.rev > record.rev || (old.rev == record.rev &&
                                                                      old.manual >= record.manual);
      if (unseen && old.rev < kMostRev) return CasePutAnswer{false, old};
      it->second = stored;
    }
    server_->log_.push_back({++server_->last_id_, stored});
    server_->case_put_.NotifyAll();
    return CasePutAnswer{true, stored};
  }

  absl::StatusOr<std::vector<SharedCase>> ReadCases() override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/false);
    if (!ready.ok()) return ready;
    std::vector<SharedCase> cases;
    for (const auto& [field, record] : server_->cases_) cases.push_back(record);
    return cases;
  }

  absl::Status DropCase(const Subject& subject, bool shadow, int64_t rev) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    auto found = server_->cases_.find(CaseField(subject, shadow));
    if (found != server_->cases_.end() && found->second.rev <= rev) server_->cases_.erase(found);
    return absl::OkStatus();
  }

  absl::StatusOr<absl::Time> ReadTime() override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/false);
    if (!ready.ok()) return ready;
    if (server_->time_silent_) return TroubleStatus(SharedTrouble::kSlow, "no answer");
    return server_->clock_->Now();
  }

  absl::StatusOr<std::string> LastCase() override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/false);
    if (!ready.ok()) return ready;
    return absl::StrCat(server_->log_.empty() ? 0 : server_->last_id_);
  }

  absl::StatusOr<CasesFollowed> FollowCases(absl::string_view last, absl::Duration wait) override {
    MutexLock lock(&server_->mutex_);
    int64_t after = 0;
    if (!absl::SimpleAtoi(last, &after)) return TroubleStatus(SharedTrouble::kUnexpected, "id");
    CasesFollowed followed;
    followed.last = std::string(last);
    for (int turn = 0; turn < 2; ++turn) {
      absl::Status ready = Ready(/*writes=*/false);
      if (!ready.ok()) return ready;
      for (const auto& entry : server_->log_) {
        if (entry.id <= after) continue;
        followed.cases.push_back(entry.record);
        followed.last = absl::StrCat(entry.id);
      }
      if (!followed.cases.empty() || wait <= absl::ZeroDuration()) break;
      if (turn == 0) server_->case_put_.WaitFor(&server_->mutex_, wait);
    }
    return followed;
  }

  absl::Status PutReceipt(const Subject& subject, absl::string_view case_id, absl::string_view text,
                          absl::Duration) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    server_->hashes_[ReceiptKeyText(subject, case_id)][options_.node] = {options_.node,
                                                                         std::string(text)};
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<SharedRow>> ReadReceipt(const Subject& subject,
                                                     absl::string_view case_id) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/false);
    if (!ready.ok()) return ready;
    auto found = server_->hashes_.find(ReceiptKeyText(subject, case_id));
    return found == server_->hashes_.end() ? std::vector<SharedRow>() : RowsOf(found->second);
  }

  absl::StatusOr<Beat> SayBeat(const NodeClaim& claim) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    const absl::Time now = server_->clock_->Now();
    for (const auto& [node, known] : server_->nodes_) {
      if (absl::AbsDuration(now - known.seen) >= kLive || known.claim.session == claim.session ||
          known.claim.holder == claim.holder) {
        continue;
      }
      const bool same_log = std::any_of(
          claim.logs.begin(), claim.logs.end(), [&logs = known.claim.logs](const std::string& log) {
            return std::find(logs.begin(), logs.end(), log) != logs.end();
          });
      if (node == options_.node || same_log) {
        return TroubleStatus(SharedTrouble::kClaimed,
                             absl::StrCat("node ", node, ", ", known.claim.record));
      }
    }
    server_->nodes_[options_.node] = {claim, now};
    Beat beat;
    beat.server_time = now;
    beat.generation = absl::StrCat(server_->generation_);
    for (const auto& [node, known] : server_->nodes_) {
      beat.nodes.push_back(
          {node, known.seen, absl::StrCat("{\"record\":", known.claim.record, "}")});
    }
    return beat;
  }

  absl::Status SayEnd(absl::string_view session) override {
    MutexLock lock(&server_->mutex_);
    absl::Status ready = Ready(/*writes=*/true);
    if (!ready.ok()) return ready;
    auto found = server_->nodes_.find(options_.node);
    if (found != server_->nodes_.end() && found->second.claim.session == session) {
      server_->nodes_.erase(found);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Ready(bool writes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(server_->mutex_) {
    if (!connected_ || breaks_ != server_->breaks_) {
      return TroubleStatus(SharedTrouble::kGone, "there is no connection");
    }
    const bool reads_too = server_->trouble_ == SharedTrouble::kLoading;
    if (server_->trouble_ != SharedTrouble::kNone && (writes || reads_too)) {
      return TroubleStatus(server_->trouble_, "on cue");
    }
    return absl::OkStatus();
  }

  MemorySharedServer* const server_;
  const SharedStoreOptions options_;
  bool connected_ = false;
  int64_t breaks_ = 0;
};

std::unique_ptr<SharedStore> MemorySharedServer::NewStore(const SharedStoreOptions& options) {
  return std::make_unique<MemorySharedStore>(this, options);
}

void MemorySharedServer::SetTrouble(SharedTrouble trouble) {
  MutexLock lock(&mutex_);
  trouble_ = trouble;
  if (trouble == SharedTrouble::kGone || trouble == SharedTrouble::kSlow) ++breaks_;
  case_put_.NotifyAll();
}

void MemorySharedServer::SetTimeSilent(bool silent) {
  MutexLock lock(&mutex_);
  time_silent_ = silent;
}

void MemorySharedServer::Replicate(const MemorySharedServer& other) {
  MutexLock theirs(&other.mutex_);
  auto hashes = other.hashes_;
  auto cases = other.cases_;
  auto log = other.log_;
  auto nodes = other.nodes_;
  const int64_t last_id = other.last_id_;
  const int64_t generation = other.generation_;
  MutexLock mine(&mutex_);
  hashes_ = std::move(hashes);
  cases_ = std::move(cases);
  log_ = std::move(log);
  nodes_ = std::move(nodes);
  last_id_ = last_id;
  generation_ = generation;
}

void MemorySharedServer::TakeOver(const MemorySharedServer& other) {
  Replicate(other);
  MutexLock lock(&mutex_);
  ++breaks_;
}

void MemorySharedServer::Flush() {
  MutexLock lock(&mutex_);
  hashes_.clear();
  cases_.clear();
  log_.clear();
  nodes_.clear();
  ++generation_;
}

std::vector<std::string> MemorySharedServer::Keys() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> keys;
  for (const auto& [key, hash] : hashes_) keys.push_back(key);
  if (!cases_.empty()) keys.push_back(kCasesKey);
  if (!log_.empty()) keys.push_back(kCaseLogKey);
  if (!nodes_.empty()) keys.insert(keys.end(), {kNodesKey, kGenerationKey});
  return keys;
}

void MemorySharedServer::Forget(const std::string& key) {
  MutexLock lock(&mutex_);
  hashes_.erase(key);
  if (key == kCasesKey) cases_.clear();
  if (key == kCaseLogKey) log_.clear();
  if (key == kNodesKey) nodes_.clear();
  if (key == kGenerationKey) ++generation_;
}

void MemorySharedServer::Forget(const std::string& key, const std::string& field) {
  MutexLock lock(&mutex_);
  if (auto hash = hashes_.find(key); hash != hashes_.end()) hash->second.erase(field);
  if (key == kCasesKey) cases_.erase(field);
  if (key == kNodesKey) nodes_.erase(field);
}

}  // namespace deferd
