// A store whose commits fail on cue; all else goes to another store.

#ifndef DEFERD_TESTS_LIMITER_STORE_FAULTY_STORE_H_
#define DEFERD_TESTS_LIMITER_STORE_FAULTY_STORE_H_

#include <atomic>

#include "absl/status/status.h"
#include "tests/limiter/store/forwarding_store.h"

namespace deferd {

class FaultyStore : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  // From any thread: after the next `good` commits `n` fail as on a full disk, and store nothing.
  void FailCommits(int n, int good = 0) {
    good_ = good;
    failing_ = n;
  }
  // Calls of Commit so far, failed ones too.
  int commits() const { return commits_; }

  absl::Status Commit(const StoreBatch& batch) override {
    ++commits_;
    if (failing_ > 0 && --good_ < 0) {
      --failing_;
      return absl::UnavailableError("state.db: the disk is full; make room on it");
    }
    return ForwardingStore::Commit(batch);
  }

 private:
  std::atomic<int> good_{0};
  std::atomic<int> failing_{0};
  std::atomic<int> commits_{0};
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_FAULTY_STORE_H_
