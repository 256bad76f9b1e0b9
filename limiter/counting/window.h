// The last hour of one subject, in 60 steps.
//
// A window of length W has steps of W/60; step(t) = floor(t / (W/60)) of Unix seconds. Live at
// `now` are the steps step(now)-59 .. step(now): what is older than W never counts, what is younger
// than W minus one step always does. Only cells that hold something are stored, since most domains
// send a few messages an hour: a cell is four bytes, four cells need no allocation. Counts never
// become negative.
//
// Not thread-safe: its owner's lock guards it. Steps are passed in, so one clock serves all
// windows. `now_step` must never go back, except through DropAfter.

#ifndef DEFERD_LIMITER_COUNTING_WINDOW_H_
#define DEFERD_LIMITER_COUNTING_WINDOW_H_

#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/counts.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// A contribution, with the reply class and recipient that some rules count.
struct Contribution {
  CountedOutcome outcome = CountedOutcome::kDelivered;
  std::optional<ReplyClass> reply_class;  // of a bad one: what its answer meant
  absl::string_view recipient;
  int64_t count = 1;

  Contribution(CountedOutcome one) : outcome(one) {}  // NOLINT: most are no more than that
  Contribution(CountedOutcome one, std::optional<ReplyClass> meant, absl::string_view to)
      : outcome(one), reply_class(meant), recipient(to) {}

  bool bad() const {
    return outcome == CountedOutcome::kDeferred || outcome == CountedOutcome::kFailed;
  }
};

// The steps of windows of one length.
class StepClock {
 public:
  static constexpr int kSteps = 60;

  // `window` is a multiple of 60 s, so a step is a whole number of seconds.
  explicit StepClock(absl::Duration window)
      : seconds_(absl::ToInt64Seconds(window) / kSteps), window_(window) {}

  int64_t StepOf(absl::Time t) const {
    int64_t s = absl::ToUnixSeconds(t);  // rounds down
    return s >= 0 ? s / seconds_ : -((-s + seconds_ - 1) / seconds_);
  }
  // The last second of `step`: what `cleared_at` takes to leave a whole step out.
  absl::Time EndOf(int64_t step) const { return absl::FromUnixSeconds((step + 1) * seconds_ - 1); }
  bool Live(int64_t step, int64_t now_step) const {
    return step > now_step - kSteps && step <= now_step;
  }
  absl::Duration window() const { return window_; }

 private:
  int64_t seconds_;
  absl::Duration window_;
};

class Window {
 public:
  // `step` must be live at `now_step`. Cells that are no longer live are forgotten.
  void Add(int64_t step, CountedOutcome outcome, int64_t now_step, int64_t count = 1);

  // Takes one out again; false, and nothing changed, if the cell is empty.
  bool Remove(int64_t step, CountedOutcome outcome);

  // The live cells later than `after_step`.
  Counts Sum(int64_t now_step, int64_t after_step) const;

  // Forgets cells that are no longer live.
  void Expire(int64_t now_step);
  // Forgets cells of later steps; true if there were any.
  bool DropAfter(int64_t step);
  // Of the last cell; 0 if there is none.
  int64_t newest_step() const { return cells_.empty() ? 0 : StepOf(cells_.back()); }

  bool empty() const { return cells_.empty(); }

  // What is counted, step by step, in order.
  void ForEach(absl::FunctionRef<void(int64_t step, CountedOutcome outcome, int64_t count)>) const;
  // Restores a value of ForEach. Values must be restored in the order of ForEach.
  void Restore(int64_t step, CountedOutcome outcome, int64_t count);

 private:
  // A cell has 9 bits of key, (step - base_) * 8 + outcome, above 23 bits of count. A larger count
  // continues in a further cell of the same key.
  using Cell = uint32_t;
  static constexpr int kCountBits = 23;
  static constexpr Cell kKinds = 8;
  static constexpr Cell kMaxCount = (1u << kCountBits) - 1;
  static constexpr int64_t kMaxSpan = 64;  // steps that a key can tell apart

  static Cell KeyOf(Cell cell) { return cell >> kCountBits; }
  int64_t StepOf(Cell cell) const { return base_ + KeyOf(cell) / kKinds; }
  Cell* FirstAbove(Cell key);
  void MoveBase(int64_t base);

  int64_t base_ = 0;                    // at most the first cell's step
  absl::InlinedVector<Cell, 4> cells_;  // sorted by key
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_WINDOW_H_
