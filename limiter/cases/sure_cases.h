// The cases whose evidence is sure, so that they may discard or return mail, which cannot be
// undone. A case that is not in here holds mail instead.
//
// A case is added when its receipt has been gathered (receipt.h), moments after it opened. Safe
// from any thread; the lock is held only briefly.

#ifndef DEFERD_LIMITER_CASES_SURE_CASES_H_
#define DEFERD_LIMITER_CASES_SURE_CASES_H_

#include <cstddef>
#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "limiter/cases/case.h"
#include "limiter/port/mutex.h"

namespace deferd {

class SureCases {
 public:
  static constexpr size_t kMaxCases = 20'000;  // the oldest are forgotten first

  void Add(const std::string& case_id) {
    MutexLock lock(&mutex_);
    if (!ids_.insert(case_id).second) return;
    in_order_.push_back(case_id);
    if (in_order_.size() <= kMaxCases) return;
    ids_.erase(in_order_.front());
    in_order_.pop_front();
  }
  // A person's decision needs no evidence.
  bool IsSure(const Case& record) const {
    if (record.manual) return true;
    MutexLock lock(&mutex_);
    return ids_.contains(record.id);
  }

 private:
  mutable Mutex mutex_;
  absl::flat_hash_set<std::string> ids_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> in_order_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_SURE_CASES_H_
