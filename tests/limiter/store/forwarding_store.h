// A store that hands every call to another one. Tests derive from it and override what they watch
// or make fail.

#ifndef DEFERD_TESTS_LIMITER_STORE_FORWARDING_STORE_H_
#define DEFERD_TESTS_LIMITER_STORE_FORWARDING_STORE_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/local_store.h"

namespace deferd {

class ForwardingStore : public LocalStore {
 public:
  explicit ForwardingStore(std::unique_ptr<LocalStore> store) : store_(std::move(store)) {}

  absl::Status Load(StateVisitor* visitor) override { return store_->Load(visitor); }
  absl::Status Commit(const StoreBatch& batch) override { return store_->Commit(batch); }
  absl::StatusOr<ForgetFilter> MakeForgetFilter(absl::string_view what) override {
    return store_->MakeForgetFilter(what);
  }
  absl::StatusOr<ForgetStep> ForgetRows(const ForgetFilter& filter, const ForgetPlace& from,
                                        int64_t most, bool only_count) override {
    return store_->ForgetRows(filter, from, most, only_count);
  }
  std::unique_ptr<LedgerReader> NewReader() override { return store_->NewReader(); }
  Stats stats() const override { return store_->stats(); }

 private:
  const std::unique_ptr<LocalStore> store_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_FORWARDING_STORE_H_
