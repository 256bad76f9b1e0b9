#include "limiter/store/sharded_store.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis_keys.h"

namespace deferd {

namespace {

using Steady = std::chrono::steady_clock;

uint64_t Mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

class ShardedStore : public SharedStore {
 public:
  explicit ShardedStore(std::vector<Shard> shards) {
    for (Shard& shard : shards) parts_.push_back({std::move(shard)});
  }

  absl::Status Connect() override {
    for (Part& part : parts_) part.retry_at = Steady::time_point::min();
    return Named(parts_[0], home().Connect());
  }
  bool connected() const override { return parts_[0].shard.store->connected(); }

  absl::StatusOr<std::vector<RowAnswer>> PutRows(absl::Span<const RowPut> puts) override {
    return Spread<RowPut>(
        puts, [](const RowPut& put) -> const RowKey& { return put.key; },
        [](SharedStore& store, absl::Span<const RowPut> some) { return store.PutRows(some); });
  }

  absl::StatusOr<std::vector<RowAnswer>> ReadRows(absl::Span<const RowKey> keys) override {
    return Spread<RowKey>(
        keys, [](const RowKey& key) -> const RowKey& { return key; },
        [](SharedStore& store, absl::Span<const RowKey> some) { return store.ReadRows(some); });
  }

  absl::Status ForEachKey(absl::Duration window,
                          absl::FunctionRef<void(std::vector<RowKey>)> tell) override {
    absl::Status status;
    for (size_t i = 0; i < parts_.size(); ++i) {
      absl::Status one = Ready(i);
      if (one.ok()) one = Named(parts_[i], parts_[i].shard.store->ForEachKey(window, tell));
      status.Update(one);
      if (!connected()) break;
    }
    return status;
  }

  absl::Status DropOtherRows(const RowKey& key, const std::vector<std::string>& nodes) override {
    const size_t i = PartOf(key);
    absl::Status status = Ready(i);
    return status.ok() ? Named(parts_[i], parts_[i].shard.store->DropOtherRows(key, nodes))
                       : status;
  }

  absl::StatusOr<CasePutAnswer> PutCase(const SharedCase& record) override {
    return home().PutCase(record);
  }
  absl::StatusOr<std::vector<SharedCase>> ReadCases() override { return home().ReadCases(); }
  std::vector<SharedCase> TakeDamagedCases() override { return home().TakeDamagedCases(); }
  absl::Status DropCase(const Subject& subject, bool shadow, int64_t rev) override {
    return home().DropCase(subject, shadow, rev);
  }
  absl::StatusOr<absl::Time> ReadTime() override { return home().ReadTime(); }
  absl::StatusOr<std::string> LastCase() override { return home().LastCase(); }
  absl::StatusOr<CasesFollowed> FollowCases(absl::string_view last, absl::Duration wait) override {
    return home().FollowCases(last, wait);
  }
  absl::Status PutReceipt(const Subject& subject, absl::string_view case_id, absl::string_view text,
                          absl::Duration keep) override {
    return home().PutReceipt(subject, case_id, text, keep);
  }
  absl::StatusOr<std::vector<SharedRow>> ReadReceipt(const Subject& subject,
                                                     absl::string_view case_id) override {
    return home().ReadReceipt(subject, case_id);
  }

  absl::StatusOr<Beat> SayBeat(const NodeClaim& claim) override {
    absl::StatusOr<Beat> beat = home().SayBeat(claim);
    if (!beat.ok()) return Named(parts_[0], beat.status());
    for (size_t i = 1; i < parts_.size(); ++i) {
      Part& part = parts_[i];
      // One that refuses at once is tried with each beat.
      if (TroubleOf(part.trouble) != SharedTrouble::kSlow)
        part.retry_at = Steady::time_point::min();
      absl::Status heard = Ready(i);
      if (heard.ok()) {
        absl::StatusOr<Beat> there = part.shard.store->SayBeat(claim);
        heard = Named(part, there.status());
        if (there.ok()) part.generation = absl::StrCat(there->generation, "#", part.connections);
      }
      beat->missing.Update(heard);
      absl::StrAppend(&beat->generation, "|", part.generation);
    }
    return beat;
  }

  absl::Status SayEnd(absl::string_view session) override {
    for (size_t i = 1; i < parts_.size(); ++i) {
      SharedStore& store = *parts_[i].shard.store;
      if (store.connected()) store.SayEnd(session).IgnoreError();  // it goes by itself
    }
    return home().SayEnd(session);
  }

 private:
  struct Part {
    Shard shard;
    Steady::time_point retry_at = Steady::time_point::min();
    absl::Status trouble;    // of the last try to connect
    int connections = 0;     // how often one was made
    std::string generation;  // as of the last beat that it answered
  };

  SharedStore& home() { return *parts_[0].shard.store; }

  static absl::Status Named(const Part& part, const absl::Status& status) {
    return TroubleAt(part.shard.name, status);
  }

  size_t PartOf(const RowKey& key) const {
    return parts_.size() == 1 ? 0 : ShardOf(SlotOf(key.subject), parts_.size());
  }

  // Connects to a store other than the first, if it is time to try. Without the first, none is
  // used.
  absl::Status Ready(size_t i) {
    Part& part = parts_[i];
    if (!connected()) return TroubleStatus(SharedTrouble::kGone, "there is no connection");
    if (part.shard.store->connected()) return absl::OkStatus();
    const Steady::time_point now = Steady::now();
    if (now < part.retry_at) return part.trouble;
    part.trouble = Named(part, part.shard.store->Connect());
    if (part.trouble.ok()) {
      ++part.connections;
      // Should it break at once, that is found out with the next beat.
      part.trouble = Named(part, TroubleStatus(SharedTrouble::kGone, "the connection broke"));
      part.retry_at = now + RetryPause(SharedTrouble::kNone);
      return absl::OkStatus();
    }
    part.retry_at = Steady::now() + RetryPause(TroubleOf(part.trouble));
    return part.trouble;
  }

  template <typename Item, typename KeyOf, typename Call>
  absl::StatusOr<std::vector<RowAnswer>> Spread(absl::Span<const Item> items, KeyOf key_of,
                                                Call call) {
    std::vector<std::vector<size_t>> places(parts_.size());
    for (size_t i = 0; i < items.size(); ++i) places[PartOf(key_of(items[i]))].push_back(i);
    std::vector<RowAnswer> answers(items.size());
    for (size_t p = 0; p < parts_.size(); ++p) {
      if (places[p].empty()) continue;
      absl::Status status = Ready(p);
      if (status.ok()) {
        std::vector<Item> some;
        some.reserve(places[p].size());
        for (size_t i : places[p]) some.push_back(items[i]);
        absl::StatusOr<std::vector<RowAnswer>> theirs = call(*parts_[p].shard.store, some);
        status = Named(parts_[p], theirs.status());
        if (theirs.ok()) {
          for (size_t i = 0; i < theirs->size(); ++i) {
            answers[places[p][i]] = std::move((*theirs)[i]);
            absl::Status& one = answers[places[p][i]].status;
            if (!one.ok()) one = Named(parts_[p], one);
          }
          continue;
        }
      }
      if (!connected()) return status;
      for (size_t i : places[p]) answers[i].status = status;
    }
    return answers;
  }

  std::vector<Part> parts_;
};

}  // namespace

std::unique_ptr<SharedStore> NewShardedStore(std::vector<Shard> shards) {
  if (shards.size() == 1) return std::move(shards[0].store);
  return std::make_unique<ShardedStore>(std::move(shards));
}

size_t ShardOf(absl::string_view slot, size_t shards) {
  uint64_t name = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : slot) name = (name ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  size_t best = 0;
  uint64_t most = 0;
  for (size_t i = 0; i < shards; ++i) {
    const uint64_t weight = Mixed(name + 0x9e3779b97f4a7c15ULL * (i + 1));
    if (i == 0 || weight > most) {
      best = i;
      most = weight;
    }
  }
  return best;
}

}  // namespace deferd
