// Bytes that come in pieces, cut into lines.
//
// A line that is within one piece is handed over without a copy. Of one that is longer than the
// maximum, which is the most that is ever kept, nothing is handed over: `too_long` is told once,
// and the rest up to its LF is skipped. Not thread-safe.

#ifndef DEFERD_LIMITER_HOOK_LINE_BUFFER_H_
#define DEFERD_LIMITER_HOOK_LINE_BUFFER_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace deferd {

class LineBuffer {
 public:
  // `max_line` is in bytes, without the LF.
  explicit LineBuffer(size_t max_line) : max_line_(max_line) {}

  // Calls line(absl::string_view), without its LF, and too_long(), in the order of the bytes, as
  // long as go_on() is true; what is left then is dropped.
  template <typename GoOn, typename Line, typename TooLong>
  void Add(absl::string_view bytes, GoOn go_on, Line line, TooLong too_long) {
    while (!bytes.empty() && go_on()) {
      const size_t end = bytes.find('\n');
      const absl::string_view piece = bytes.substr(0, end);
      const bool complete = end != absl::string_view::npos;
      bytes.remove_prefix(complete ? end + 1 : bytes.size());
      if (skipping_) {
        skipping_ = !complete;
      } else if (partial_.size() + piece.size() > max_line_) {
        partial_.clear();
        skipping_ = !complete;
        too_long();
      } else if (!complete) {
        partial_.append(piece.data(), piece.size());
      } else if (partial_.empty()) {
        line(piece);
      } else {
        partial_.append(piece.data(), piece.size());
        line(absl::string_view(partial_));
        partial_.clear();
      }
    }
  }

  // The last line, where no LF ended it; empty if there is none.
  std::string TakeRest() { return std::exchange(partial_, {}); }

 private:
  const size_t max_line_;
  std::string partial_;    // the line so far
  bool skipping_ = false;  // the rest of an over-long line
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_LINE_BUFFER_H_
