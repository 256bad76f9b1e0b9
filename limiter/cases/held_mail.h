// Counts of held messages by subject, the ids of messages that deferd holds, and the ids that a
// person has released regardless of the subject's case. Shared between the gate, which answers
// MTAs, and the queue keeper (limiter/queue/queue_keeper.h), which reads the queue at intervals.
//
// A message that was answered `hold` may not be in the queue yet when the queue is read. The answer
// therefore counts as one message until the message is found, or for kOnItsWay (the client may have
// given up). Safe from any thread; the lock is held only briefly.

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
  static constexpr size_t kMostOnTheirWay =
      100'000;  // per subject, in case the queue is never read

  // Result of reading the queue at `now`: messages by the subject whose case holds them, and how
  // many of them arrived since the queue was read before.
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
  // Whether a message of the subject was answered `hold` and has not been found in the queue yet.
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

  // Marks a message as held by deferd.
  void MarkHeld(const std::string& id) {
    MutexLock lock(&mutex_);
    held_.insert(id);
  }
  void Forget(const std::string& id) {
    MutexLock lock(&mutex_);
    held_.erase(id);
    released_.erase(id);
  }
  bool WasHeld(const std::string& id) const {
    MutexLock lock(&mutex_);
    return held_.contains(id);
  }

  void Release(const std::vector<std::string>& ids) {
    MutexLock lock(&mutex_);
    released_.insert(ids.begin(), ids.end());
  }
  bool WasReleased(const std::string& id) const {
    MutexLock lock(&mutex_);
    return released_.contains(id);
  }

 private:
  mutable Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Subject, std::deque<absl::Time>> answered_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> held_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> released_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_HELD_MAIL_H_
