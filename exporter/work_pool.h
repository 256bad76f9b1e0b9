// A few threads for work that may take long, with a fair share for each owner.
//
// What one owner submits takes at most `of_one` threads, so that others find one free; what waits
// is bounded, for each owner and together. Safe from any thread.

#ifndef DEFERD_EXPORTER_WORK_POOL_H_
#define DEFERD_EXPORTER_WORK_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "limiter/port/mutex.h"

namespace deferd {

class WorkPool {
 public:
  struct Limits {
    int threads = 3;
    int of_one = 2;  // threads that one owner gets
    size_t waiting = 64;
    size_t waiting_of_one = 16;
  };

  // `on_done` is called on a thread of the pool after each work; it must not call the pool.
  WorkPool(Limits limits, std::function<void()> on_done);
  // What runs is waited for; what waits is forgotten.
  ~WorkPool();

  // The work's number; 0: too much waits already.
  int64_t Submit(const std::string& owner, std::function<void()> work);
  // True: it had not begun, and will not.
  bool Cancel(int64_t number);
  // The works that have ended since the last call.
  std::vector<int64_t> TakeDone();

 private:
  struct Work {
    int64_t number = 0;
    std::string owner;
    std::function<void()> run;
  };

  void Run();
  // The oldest whose owner has not its share of threads; end: none.
  std::deque<Work>::iterator Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const std::function<void()> on_done_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Work> waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> running_ ABSL_GUARDED_BY(mutex_);  // by owner
  std::vector<int64_t> done_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;  // last: they use the others
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_WORK_POOL_H_
