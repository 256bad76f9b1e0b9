// What is held in the MTA's queue, for those who answer questions and for those who decide: how
// much of each subject, which messages deferd had held, and which a person has let go of, whatever
// their subject's case says.
//
// Told by whoever looks at the queue now and then (limiter/queue/queue_keeper.h). A message that
// was answered `hold` may still be on its way while the queue is looked at, so the answer counts
// for one message until a look finds it, or for kOnItsWay (a client may have given up). Safe from
// any thread; the lock is held for moments.

#ifndef DEFERD_LIMITER_CASES_HELD_MAIL_H_
#define DEFERD_LIMITER_CASES_HELD_MAIL_H_

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"
#include "policy/subject.h"

namespace deferd {

class HeldMail {
 public:
  using Counts = absl::flat_hash_map<Subject, int64_t>;

  static constexpr absl::Duration kOnItsWay = absl::Minutes(2);
  static constexpr size_t kMostOnTheirWay = 100'000;  // of a subject, if nobody looks at the queue

  // What a look at the queue found at `now`: messages by the subject whose case holds them, and how
  // many of these arrived since the look before.
  void SetCounts(Counts counts, const Counts& arrived, absl::Time now) {
    MutexLock lock(&mutex_);
    counts_ = std::move(counts);
    for (auto& [subject, times] : answered_) {
      const auto found = arrived.find(subject);
      int64_t seen = found == arrived.end() ? 0 : found->second;
      while (!times.empty() && (seen-- > 0 || now - times.front() >= kOnItsWay)) times.pop_front();
    }
    absl::erase_if(answered_, [](const auto& one) { return one.second.empty(); });
  }
  // A message of the subject was answered `hold`.
  void CountOne(const Subject& subject, absl::Time now) {
    MutexLock lock(&mutex_);
    std::deque<absl::Time>& times = answered_[subject];
    if (times.size() < kMostOnTheirWay) times.push_back(now);
  }
  // Whether an answer `hold` was given to a message of the subject that no look has found yet.
  bool AnyOnItsWay(const Subject& subject) const {
    MutexLock lock(&mutex_);
    return answered_.contains(subject);
  }
  int64_t CountOf(const Subject& subject) const {
    MutexLock lock(&mutex_);
    const auto found = counts_.find(subject);
    const auto answered = answered_.find(subject);
    return (found == counts_.end() ? 0 : found->second) +
           (answered == answered_.end() ? 0 : static_cast<int64_t>(answered->second.size()));
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
  absl::flat_hash_map<Subject, std::deque<absl::Time>> answered_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> held_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> let_go_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_HELD_MAIL_H_
