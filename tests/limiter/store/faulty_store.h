// A store whose commits fail on cue; all else goes to another store.

#ifndef DEFERD_TESTS_LIMITER_STORE_FAULTY_STORE_H_
#define DEFERD_TESTS_LIMITER_STORE_FAULTY_STORE_H_

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "limiter/store/local_store.h"

namespace deferd {

class FaultyStore : public LocalStore {
 public:
  explicit FaultyStore(std::unique_ptr<LocalStore> store) : store_(std::move(store)) {}

  // From any thread: after the next `good` commits `n` fail as on a full disk, and store nothing.
  void FailCommits(int n, int good = 0) {
    good_ = good;
    failing_ = n;
  }
  // Calls of Commit so far, failed ones too.
  int commits() const { return commits_; }

  absl::Status Load(StateVisitor* visitor) override { return store_->Load(visitor); }
  absl::Status Commit(const StoreBatch& batch) override {
    ++commits_;
    if (failing_ > 0 && --good_ < 0) {
      --failing_;
      return absl::UnavailableError("state.db: the disk is full; make room on it");
    }
    return store_->Commit(batch);
  }
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
  std::atomic<int> good_{0};
  std::atomic<int> failing_{0};
  std::atomic<int> commits_{0};
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_FAULTY_STORE_H_
