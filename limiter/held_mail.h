// What is held in the MTA's queue, for those who answer questions: how much of each subject, and
// which messages a person has let go of, whatever their subject's case says.
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

  void LetGo(const std::vector<std::string>& ids) {
    MutexLock lock(&mutex_);
    let_go_.insert(ids.begin(), ids.end());
  }
  bool WasLetGo(const std::string& id) const {
    MutexLock lock(&mutex_);
    return let_go_.contains(id);
  }
  // Forgets those that are not in `queued`: they are gone.
  void KeepLetGo(const absl::flat_hash_set<std::string>& queued) {
    MutexLock lock(&mutex_);
    absl::erase_if(let_go_, [&](const std::string& id) { return !queued.contains(id); });
  }

 private:
  mutable Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> let_go_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HELD_MAIL_H_
