// What of one subject is shown and does not count, because of what the answers mean: a window for
// each class that occurs.
//
// Confined to its owner's thread, like Window. Most subjects have none.

#ifndef DEFERD_LIMITER_COUNTING_LEFT_OUT_WINDOWS_H_
#define DEFERD_LIMITER_COUNTING_LEFT_OUT_WINDOWS_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "limiter/counting/window.h"
#include "policy/reply/reply_class.h"

namespace deferd {

class LeftOutWindows {
 public:
  // The window of one class, made if it is new. Valid until the next call.
  Window* Of(ReplyClass reply_class);

  // How many of each class are live and later than `after_step`, the most first.
  std::vector<std::pair<ReplyClass, int64_t>> Sum(int64_t now_step, int64_t after_step) const;

  void Expire(int64_t now_step);
  bool DropAfter(int64_t step);  // as Window's
  bool empty() const { return windows_.empty(); }
  void ForEach(absl::FunctionRef<void(ReplyClass, const Window&)> tell) const;

 private:
  std::vector<std::pair<ReplyClass, Window>> windows_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_LEFT_OUT_WINDOWS_H_
