#include "limiter/counting/window.h"

#include <algorithm>

namespace deferd {

// Behind the last cell of `key`. Nearly always the newest step: looks from the end.
Window::Cell* Window::FirstAbove(Cell key) {
  Cell* at = cells_.end();
  while (at != cells_.begin() && KeyOf(*(at - 1)) > key) --at;
  return at;
}

void Window::MoveBase(int64_t base) {
  const int64_t shift = (base_ - base) * kKinds * (kMaxCount + 1);
  for (Cell& cell : cells_) cell = static_cast<Cell>(cell + shift);
  base_ = base;
}

void Window::Add(int64_t step, CountedOutcome outcome, int64_t now_step, int64_t count) {
  Expire(now_step);
  if (cells_.empty()) {
    base_ = step;
  } else if (step < base_ || step >= base_ + kMaxSpan) {
    MoveBase(std::min(step, StepOf(cells_.front())));
  }
  const Cell key = static_cast<Cell>(step - base_) * kKinds + static_cast<Cell>(outcome);
  while (count > 0) {
    Cell* at = FirstAbove(key);
    const bool there = at != cells_.begin() && KeyOf(*(at - 1)) == key;
    const int64_t room = kMaxCount - (there ? *(at - 1) & kMaxCount : 0);
    const auto part = static_cast<Cell>(std::min(count, room > 0 ? room : int64_t{kMaxCount}));
    if (there && room > 0) {
      *(at - 1) += part;
    } else {
      cells_.insert(at, key << kCountBits | part);
    }
    count -= part;
  }
}

bool Window::Remove(int64_t step, CountedOutcome outcome) {
  if (step < base_ || step >= base_ + kMaxSpan) return false;
  const Cell key = static_cast<Cell>(step - base_) * kKinds + static_cast<Cell>(outcome);
  Cell* at = FirstAbove(key);
  if (at == cells_.begin() || KeyOf(*(at - 1)) != key) return false;
  if ((--*(at - 1) & kMaxCount) == 0) cells_.erase(at - 1);
  return true;
}

Counts Window::Sum(int64_t now_step, int64_t after_step) const {
  after_step = std::max(after_step, now_step - StepClock::kSteps);
  int64_t sums[kKinds] = {};  // judged after every attempt: no branch by outcome in the loop
  for (const Cell cell : cells_) {
    const int64_t step = StepOf(cell);
    if (step > after_step && step <= now_step) sums[KeyOf(cell) % kKinds] += cell & kMaxCount;
  }
  Counts counts;
  for (int i = 0; i < kCountedOutcomes; ++i) counts.Add(static_cast<CountedOutcome>(i), sums[i]);
  return counts;
}

void Window::ForEach(
    absl::FunctionRef<void(int64_t step, CountedOutcome outcome, int64_t count)> tell) const {
  for (const Cell cell : cells_) {
    tell(StepOf(cell), static_cast<CountedOutcome>(KeyOf(cell) % kKinds), cell & kMaxCount);
  }
}

void Window::Restore(int64_t step, CountedOutcome outcome, int64_t count) {
  if (cells_.empty()) base_ = step;
  if (step < base_ || step >= base_ + kMaxSpan) return;
  const Cell key = static_cast<Cell>(step - base_) * kKinds + static_cast<Cell>(outcome);
  for (; count > 0; count -= kMaxCount) {
    cells_.push_back(key << kCountBits | static_cast<Cell>(std::min<int64_t>(count, kMaxCount)));
  }
}

void Window::Expire(int64_t now_step) {
  auto live = std::find_if(cells_.begin(), cells_.end(),
                           [&](Cell cell) { return StepOf(cell) > now_step - StepClock::kSteps; });
  cells_.erase(cells_.begin(), live);
}

bool Window::DropAfter(int64_t step) {
  auto later =
      std::find_if(cells_.begin(), cells_.end(), [&](Cell cell) { return StepOf(cell) > step; });
  if (later == cells_.end()) return false;
  cells_.erase(later, cells_.end());
  return true;
}

}  // namespace deferd
