#include "limiter/counting/left_out_windows.h"

#include <algorithm>

namespace deferd {

Window* LeftOutWindows::Of(ReplyClass reply_class) {
  for (auto& [known, window] : windows_) {
    if (known == reply_class) return &window;
  }
  windows_.emplace_back().first = reply_class;
  return &windows_.back().second;
}

std::vector<std::pair<ReplyClass, int64_t>> LeftOutWindows::Sum(int64_t now_step,
                                                                int64_t after_step) const {
  std::vector<std::pair<ReplyClass, int64_t>> sums;
  for (const auto& [reply_class, window] : windows_) {
    const int64_t count = window.Sum(now_step, after_step).bad();
    if (count > 0) sums.emplace_back(reply_class, count);
  }
  std::sort(sums.begin(), sums.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return sums;
}

void LeftOutWindows::Expire(int64_t now_step) {
  for (auto& [reply_class, window] : windows_) window.Expire(now_step);
  windows_.erase(std::remove_if(windows_.begin(), windows_.end(),
                                [](const auto& entry) { return entry.second.empty(); }),
                 windows_.end());
}

bool LeftOutWindows::DropAfter(int64_t step) {
  bool dropped = false;
  for (auto& [reply_class, window] : windows_) dropped = window.DropAfter(step) || dropped;
  return dropped;
}

void LeftOutWindows::ForEach(absl::FunctionRef<void(ReplyClass, const Window&)> tell) const {
  for (const auto& [reply_class, window] : windows_) tell(reply_class, window);
}

}  // namespace deferd
