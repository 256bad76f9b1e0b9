// Splits a stream of bytes into lines.
//
// A line inside one piece is passed on without a copy. A line longer than the maximum is not passed
// on: `too_long` is called once and the rest up to the LF is skipped, so at most the maximum is
// buffered. Not thread-safe.

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

  // Calls line(absl::string_view), without the LF, and too_long(), in order, while go_on() is true;
  // the remaining bytes are dropped then.
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

  // The last line if no LF ended it; otherwise empty.
  std::string TakeRest() { return std::exchange(partial_, {}); }

 private:
  const size_t max_line_;
  std::string partial_;    // the incomplete line
  bool skipping_ = false;  // inside an over-long line
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_LINE_BUFFER_H_
