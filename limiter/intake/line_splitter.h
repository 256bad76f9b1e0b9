// Bytes to lines, with a bound.
//
// Sans-I/O: any split of the bytes gives the same lines. A line longer than kMaxLine is not kept:
// it is reported once as skipped, however long it is, so a 2 GB line costs no memory. Lines inside
// one piece are handed out without a copy.

#ifndef DEFERD_LIMITER_INTAKE_LINE_SPLITTER_H_
#define DEFERD_LIMITER_INTAKE_LINE_SPLITTER_H_

#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

class LineSplitter {
 public:
  // Longest line kept, in bytes. Exim's own limit is 8 KiB; the corpora's longest is 1.2 KB.
  static constexpr size_t kMaxLine = 64 << 10;

  // Calls on_line(absl::string_view) for each full line, without its LF, and on_skipped() for each
  // over-long one.
  template <typename OnLine, typename OnSkipped>
  void Feed(absl::string_view bytes, OnLine&& on_line, OnSkipped&& on_skipped) {
    while (!bytes.empty()) {
      const void* end = std::memchr(bytes.data(), '\n', bytes.size());
      size_t n = end == nullptr ? bytes.size() : static_cast<const char*>(end) - bytes.data();
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

  // The end of a file that does not grow any more: an unfinished last line is a line.
  template <typename OnLine, typename OnSkipped>
  void Finish(OnLine&& on_line, OnSkipped&& on_skipped) {
    if (skipping_) {
      on_skipped();
    } else if (!partial_.empty()) {
      on_line(absl::string_view(partial_));
    }
    Reset();
  }

  // Forgets an unfinished line.
  void Reset() {
    partial_.clear();
    skipping_ = false;
  }

  bool mid_line() const { return skipping_ || !partial_.empty(); }

 private:
  std::string partial_;
  bool skipping_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LINE_SPLITTER_H_
