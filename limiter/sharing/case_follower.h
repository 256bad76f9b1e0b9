// The one thread that reads the cases of other nodes.
//
// It follows the stream of cases, so that all nodes answer with a block within a millisecond or
// two. It also reads all cases, and merges them both ways, on every new connection, after Resync,
// and every 30 s: a failover can lose entries of the stream, whereas every node that has a newer
// case puts it again. It has a connection of its own, since it blocks on it.
//
// Start and Stop are called by one thread; Round is for tests, in place of Start. Resync and status
// are safe from any thread. Fields are the follower thread's except those guarded by mutex_, and
// resync_, which is atomic.

#ifndef DEFERD_LIMITER_SHARING_CASE_FOLLOWER_H_
#define DEFERD_LIMITER_SHARING_CASE_FOLLOWER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/sharing/exchange.h"
#include "limiter/store/shared_store.h"

namespace deferd {

class CaseFollower {
 public:
  static constexpr absl::Duration kMergeEvery = absl::Seconds(30);

  // `exchange` and `clock` must outlive it.
  CaseFollower(std::unique_ptr<SharedStore> store, Exchange* exchange, const Clock* clock)
      : store_(std::move(store)), exchange_(exchange), clock_(clock) {}
  ~CaseFollower() { Stop(); }

  void Start();
  // Takes up to a second, if the thread is waiting for the store.
  void Stop();

  // Reads what there is, waiting for it up to `wait`.
  absl::Status Round(absl::Duration wait);

  // Makes the thread connect again and read everything, since the store may be another one.
  void Resync();

  struct Status {
    absl::Duration heard = -absl::InfiniteDuration();  // Clock::Elapsed() at the last good round
    int64_t followed = 0;                              // cases out of the stream
    int64_t merges = 0;                                // of all cases
    std::string problem;
  };
  Status status() const;

 private:
  void Run();
  absl::Status DoRound(absl::Duration wait);
  absl::Status MeasureOffset();
  absl::Status MergeAll();
  void AddDamaged(std::vector<SharedCase>* cases);

  const std::unique_ptr<SharedStore> store_;
  Exchange* const exchange_;
  const Clock* const clock_;
  std::atomic<bool> resync_{true};

  // Of the thread.
  std::string last_;
  bool offset_known_ = false;
  absl::Duration merged_ = -absl::InfiniteDuration();  // Clock::Elapsed()

  mutable Mutex mutex_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_CASE_FOLLOWER_H_
