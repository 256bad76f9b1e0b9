// Splits bytes into lines of bounded length.
//
// Sans-I/O: any split of the bytes gives the same lines. A line longer than kMaxLine is not stored
// but reported once as skipped, so a 2 GB line costs no memory. Lines inside one piece are passed
// on without a copy.

#ifndef DEFERD_LIMITER_INTAKE_LINE_SPLITTER_H_
#define DEFERD_LIMITER_INTAKE_LINE_SPLITTER_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

class LineSplitter {
 public:
  // Longest line kept, in bytes. Exim's own limit is 8 KiB; the corpora's longest is 1.2 KB.
  static constexpr size_t kMaxLine = 64 << 10;

  // Calls on_line(absl::string_view) for each complete line, without its LF, and on_skipped() for
  // each over-long line.
  template <typename OnLine, typename OnSkipped>
  void Feed(absl::string_view bytes, OnLine&& on_line, OnSkipped&& on_skipped) {
    while (!bytes.empty()) {
      const void* end = std::memchr(bytes.data(), '\n', bytes.size());
      size_t n = end == nullptr ? bytes.size() : static_cast<const char*>(end) - bytes.data();
      fed_ += static_cast<int64_t>(end == nullptr ? n : n + 1);
      absl::string_view piece = bytes.substr(0, n);
      if (partial_.size() + n > kMaxLine) skipping_ = true;
      if (end == nullptr) {
        if (skipping_) {
          partial_.clear();
        } else {
          partial_.append(piece.data(), piece.size());
        }
        return;
      }
      line_end_ = fed_;
      if (skipping_) {
        on_skipped();
      } else if (partial_.empty()) {
        on_line(piece);
      } else {
        partial_.append(piece.data(), piece.size());
        on_line(absl::string_view(partial_));
      }
      partial_.clear();
      skipping_ = false;
      bytes.remove_prefix(n + 1);
    }
  }

  // End of a file that no longer grows: an unfinished last line counts as a line.
  template <typename OnLine, typename OnSkipped>
  void Finish(OnLine&& on_line, OnSkipped&& on_skipped) {
    line_end_ = fed_;
    if (skipping_) {
      on_skipped();
    } else if (!partial_.empty()) {
      on_line(absl::string_view(partial_));
    }
    Reset(fed_);
  }

  // Drops an unfinished line; the next byte fed has the position `offset`.
  void Reset(int64_t offset = 0) {
    partial_.clear();
    skipping_ = false;
    fed_ = offset;
    line_end_ = offset;
  }

  // The offset after the last line passed on; already set while on_line runs.
  int64_t line_end() const { return line_end_; }

  int64_t fed() const { return fed_; }

  bool mid_line() const { return skipping_ || !partial_.empty(); }

 private:
  std::string partial_;
  bool skipping_ = false;
  int64_t fed_ = 0;
  int64_t line_end_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LINE_SPLITTER_H_
