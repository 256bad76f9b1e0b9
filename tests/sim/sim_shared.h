// One node's connection to the simulated Redis, which may lose answers. Which server it reaches is
// asked at each Connect. From one thread.

#ifndef DEFERD_TESTS_SIM_SIM_SHARED_H_
#define DEFERD_TESTS_SIM_SIM_SHARED_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "limiter/store/shared_store.h"
#include "tests/limiter/store/memory_shared_store.h"

namespace deferd::sim {

// What all connections of a node have in common.
struct Line {
  std::function<MemorySharedServer*()> server;
  int until_lost = 0;  // that call is carried out and its answer lost; 0: none
};

class SimShared : public SharedStore {
 public:
  SimShared(Line* line, SharedStoreOptions options) : line_(line), options_(std::move(options)) {}

  absl::Status Connect() override {
    cut_ = false;
    store_ = line_->server()->NewStore(options_);
    return store_->Connect();
  }
  bool connected() const override { return store_ != nullptr && !cut_ && store_->connected(); }

  absl::StatusOr<std::vector<RowAnswer>> PutRows(absl::Span<const RowPut> puts) override {
    return Answer([&] { return store_->PutRows(puts); });
  }
  absl::StatusOr<std::vector<RowAnswer>> ReadRows(absl::Span<const RowKey> keys) override {
    return Answer([&] { return store_->ReadRows(keys); });
  }
  absl::Status ForEachKey(absl::Duration window,
                          absl::FunctionRef<void(std::vector<RowKey>)> tell) override {
    return Answer([&] { return store_->ForEachKey(window, tell); });
  }
  absl::Status DropOtherRows(const RowKey& key, const std::vector<std::string>& nodes) override {
    return Answer([&] { return store_->DropOtherRows(key, nodes); });
  }
  absl::StatusOr<CasePutAnswer> PutCase(const SharedCase& record) override {
    return Answer([&] { return store_->PutCase(record); });
  }
  absl::StatusOr<std::vector<SharedCase>> ReadCases() override {
    return Answer([&] { return store_->ReadCases(); });
  }
  absl::Status DropCase(const Subject& subject, bool shadow, int64_t rev) override {
    return Answer([&] { return store_->DropCase(subject, shadow, rev); });
  }
  absl::StatusOr<absl::Time> ReadTime() override {
    return Answer([&] { return store_->ReadTime(); });
  }
  absl::StatusOr<std::string> LastCase() override {
    return Answer([&] { return store_->LastCase(); });
  }
  // Nothing is waited for: there is one thread.
  absl::StatusOr<CasesFollowed> FollowCases(absl::string_view last, absl::Duration) override {
    return Answer([&] { return store_->FollowCases(last, absl::ZeroDuration()); });
  }
  absl::Status PutReceipt(const Subject& subject, absl::string_view case_id, absl::string_view text,
                          absl::Duration keep) override {
    return Answer([&] { return store_->PutReceipt(subject, case_id, text, keep); });
  }
  absl::StatusOr<std::vector<SharedRow>> ReadReceipt(const Subject& subject,
                                                     absl::string_view case_id) override {
    return Answer([&] { return store_->ReadReceipt(subject, case_id); });
  }
  absl::StatusOr<Beat> SayBeat(const NodeClaim& claim) override {
    return Answer([&] { return store_->SayBeat(claim); });
  }
  absl::Status SayEnd(absl::string_view session) override {
    return Answer([&] { return store_->SayEnd(session); });
  }

 private:
  template <typename Call>
  auto Answer(Call call) -> decltype(call()) {
    if (!connected()) return TroubleStatus(SharedTrouble::kGone, "there is no connection");
    auto answer = call();
    if (line_->until_lost > 0 && --line_->until_lost == 0) {
      cut_ = true;
      return TroubleStatus(SharedTrouble::kSlow, "the answer is lost");
    }
    return answer;
  }

  Line* const line_;
  const SharedStoreOptions options_;
  std::unique_ptr<SharedStore> store_;
  bool cut_ = false;
};

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_SIM_SHARED_H_
