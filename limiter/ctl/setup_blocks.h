// What `deferctl setup` writes into other programs' files: blocks between marks, each with a
// checksum of what stands in it, so that it can be found again, taken back byte for byte, and left
// alone where somebody has edited it since.
//
//   # deferd begin setup NAME CHECKSUM
//   # was: a line that the block replaces; there may be several
//   the lines
//   # deferd end
//
// A block takes the line ends of its file (LF or CR LF). A block at the end of a file whose last
// line has no line end says so in a comment of its own, so that undo restores that too. Checksums
// ignore line ends, which editors convert.
//
// Pure functions over texts. `#` begins a comment in all files that are written to.

#ifndef DEFERD_LIMITER_CTL_SETUP_BLOCKS_H_
#define DEFERD_LIMITER_CTL_SETUP_BLOCKS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd {

// A file as lines, and how to change it.
class BlockText {
 public:
  explicit BlockText(absl::string_view text);

  // Index of the first line for which `is` holds, from `from` on; -1: none.
  int Find(const std::function<bool(absl::string_view)>& is, int from = 0) const;
  const std::string& line(int i) const { return lines_[static_cast<size_t>(i)]; }
  // Of the block of setup's that has line `at` inside: its first line, and the line behind it.
  // `at`, and the line behind `at`, where there is none.
  int BlockBegin(int at) const;
  int BlockEnd(int at) const;
  int size() const { return static_cast<int>(lines_.size()); }

  // A block in front of line `at`, in place of the `replaced` lines from there on.
  void Insert(int at, absl::string_view name, absl::string_view text, int replaced = 0);

  std::string Text() const;

 private:
  std::vector<std::string> lines_;  // without LF; CR is part of the line
  bool crlf_ = false;
  bool unended_ = false;  // the last line has no line end
};

// Whether a block of setup's, of one of these names (none given: of any), is in the text.
bool HasSetupBlock(absl::string_view text, const std::vector<std::string>& names = {});

// The text without these blocks, with the lines that they replaced. FailedPrecondition, beginning
// "PATH:LINE:", if one was edited or has no end.
absl::StatusOr<std::string> WithoutSetupBlocks(const std::string& path, absl::string_view text,
                                               const std::vector<std::string>& names = {});

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_BLOCKS_H_
