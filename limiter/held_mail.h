// What is held in the MTA's queue, for those who answer questions and for those who decide: how
// much of each subject, which messages deferd had held, and which a person has let go of, whatever
// their subject's case says.
//
// Told by whoever looks at the queue now and then (limiter/app/queue_keeper.h); between two looks
// each answer `hold` counts for one message. Safe from any thread; the lock is held for moments.

#ifndef DEFERD_LIMITER_HELD_MAIL_H_
#define DEFERD_LIMITER_HELD_MAIL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "limiter/port/mutex.h"
#include "policy/subject.h"

namespace deferd {

class HeldMail {
 public:
  using Counts = absl::flat_hash_map<Subject, int64_t>;

  // By the subject whose case holds them.
  void SetCounts(Counts counts) {
    MutexLock lock(&mutex_);
    counts_ = std::move(counts);
  }
  void CountOne(const Subject& subject) {
    MutexLock lock(&mutex_);
    ++counts_[subject];
  }
  int64_t CountOf(const Subject& subject) const {
    MutexLock lock(&mutex_);
    const auto found = counts_.find(subject);
    return found == counts_.end() ? 0 : found->second;
  }

  // Whether deferd had the message held.
  void MarkHeld(const std::string& id) {
    MutexLock lock(&mutex_);
    held_.insert(id);
  }
  void Forget(const std::string& id) {
    MutexLock lock(&mutex_);
    held_.erase(id);
    let_go_.erase(id);
  }
  bool WasHeld(const std::string& id) const {
    MutexLock lock(&mutex_);
    return held_.contains(id);
  }

  void LetGo(const std::vector<std::string>& ids) {
    MutexLock lock(&mutex_);
    let_go_.insert(ids.begin(), ids.end());
  }
  bool WasLetGo(const std::string& id) const {
    MutexLock lock(&mutex_);
    return let_go_.contains(id);
  }

 private:
  mutable Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> held_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> let_go_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HELD_MAIL_H_
