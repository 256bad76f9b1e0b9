#include "exporter/work_pool.h"

#include <algorithm>
#include <utility>

namespace deferd {

WorkPool::WorkPool(Limits limits, std::function<void()> on_done)
    : limits_(limits), on_done_(std::move(on_done)) {
  for (int i = 0; i < limits_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkPool::~WorkPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    waiting_.clear();
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

int64_t WorkPool::Submit(const std::string& owner, std::function<void()> work) {
  MutexLock lock(&mutex_);
  const auto of_one = std::count_if(waiting_.begin(), waiting_.end(),
                                    [&](const Work& one) { return one.owner == owner; });
  if (stopping_ || waiting_.size() >= limits_.waiting ||
      static_cast<size_t>(of_one) >= limits_.waiting_of_one) {
    return 0;
  }
  waiting_.push_back({++last_, owner, std::move(work)});
  changed_.NotifyOne();
  return last_;
}

bool WorkPool::Cancel(int64_t number) {
  MutexLock lock(&mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Work& one) { return one.number == number; });
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  return true;
}

std::vector<int64_t> WorkPool::TakeDone() {
  MutexLock lock(&mutex_);
  return std::exchange(done_, {});
}

std::deque<WorkPool::Work>::iterator WorkPool::Next() {
  for (auto one = waiting_.begin(); one != waiting_.end(); ++one) {
    const auto running = running_.find(one->owner);
    if (running == running_.end() || running->second < limits_.of_one) return one;
  }
  return waiting_.end();
}

void WorkPool::Run() {
  while (true) {
    Work work;
    {
      MutexLock lock(&mutex_);
      auto next = Next();
      while (next == waiting_.end() && !stopping_) {
        changed_.Wait(&mutex_);
        next = Next();
      }
      if (stopping_) return;
      work = std::move(*next);
      waiting_.erase(next);
      ++running_[work.owner];
    }
    work.run();
    {
      MutexLock lock(&mutex_);
      if (--running_[work.owner] == 0) running_.erase(work.owner);
      done_.push_back(work.number);
      changed_.NotifyAll();  // another of this owner may begin now
    }
    on_done_();
  }
}

}  // namespace deferd
