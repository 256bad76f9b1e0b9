// A queue between threads that holds at most `capacity` items. A fast producer waits for a slow
// consumer, so memory stays bounded. Any number of producers and consumers.

#ifndef DEFERD_LIMITER_PORT_BOUNDED_QUEUE_H_
#define DEFERD_LIMITER_PORT_BOUNDED_QUEUE_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"

namespace deferd {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Waits while the queue is full. Returns false, and drops `item`, if the queue was closed.
  bool Push(T item) {
    MutexLock lock(&mutex_);
    while (!closed_ && items_.size() >= capacity_) not_full_.Wait(&mutex_);
    if (closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.NotifyOne();
    return true;
  }

  // The same without waiting: false, and `item` is dropped, also while the queue is full.
  bool TryPush(T item) {
    MutexLock lock(&mutex_);
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    not_empty_.NotifyOne();
    return true;
  }

  // Waits up to `timeout` for an item; nullopt if none arrived. After Close the remaining items can
  // still be popped.
  std::optional<T> Pop(absl::Duration timeout) {
    MutexLock lock(&mutex_);
    if (items_.empty() && !closed_) not_empty_.WaitFor(&mutex_, timeout);
    return PopFront();
  }

  // Waits for an item; nullopt: closed, and all were popped.
  std::optional<T> Pop() {
    MutexLock lock(&mutex_);
    while (items_.empty() && !closed_) not_empty_.Wait(&mutex_);
    return PopFront();
  }

  void Close() {
    MutexLock lock(&mutex_);
    closed_ = true;
    not_empty_.NotifyAll();
    not_full_.NotifyAll();
  }

  bool closed() const {
    MutexLock lock(&mutex_);
    return closed_;
  }

  size_t size() const {
    MutexLock lock(&mutex_);
    return items_.size();
  }

 private:
  std::optional<T> PopFront() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (items_.empty()) return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    not_full_.NotifyOne();
    return item;
  }

  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar not_empty_;
  CondVar not_full_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_BOUNDED_QUEUE_H_
