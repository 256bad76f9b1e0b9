// The stored form of one window: what a node says about one subject, now.
//
//   row  = version f64, format u8 = 1, policy hash u32, first step u32, cell*   (little endian)
//   cell = 0gggggkk                     one event of kind kk, g steps (0..31) after the cell before
//        | 1gggggkk count               several events of kind kk
//        | 1ggggg11 mask count*         several kinds: a count for each bit of mask, lowest first
//        | 01111111 n cell              n more steps (1..255) before the cell
//   count = varint, seven bits a byte, lowest first
//
// kk: 0 delivered, 1 deferred, 2 failed. The first cell stands at the first step, each later one at
// a later step. Twenty single events, each within 31 steps of the one before, take 37 bytes. Bit 3
// of `mask` is how many of the delivered are surplus (dilution.h), bit 4 the recipients rejected at
// RCPT time, bit 5 the messages accepted, bit 6 their recipients. A deferd that does not know a bit
// skips it; bit 7, room for a later counter, is skipped here.
//
// Pure functions on bytes.

#ifndef DEFERD_LIMITER_STORE_WINDOW_ROW_H_
#define DEFERD_LIMITER_STORE_WINDOW_ROW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/counts.h"

namespace deferd {

// Of one outcome in a step. More is damage, or nobody's.
inline constexpr int64_t kMostInACell = 1'000'000'000;

struct WindowCell {
  uint32_t step = 0;
  Counts counts;

  friend bool operator==(const WindowCell&, const WindowCell&) = default;
};

struct WindowRow {
  double version = 0;  // a whole number from 0 to below 2^53; the greater one is newer
  uint32_t policy_hash = 0;
  std::vector<WindowCell> cells;  // by step; no step twice

  friend bool operator==(const WindowRow&, const WindowRow&) = default;
};

// Cells that hold nothing are left out; counts must be from 0 to kMostInACell.
std::string EncodeWindowRow(const WindowRow& row);

// Unimplemented: of a format that this deferd does not know. DataLoss: malformed, for example cut
// short, of cells out of order or with more than kMostInACell.
absl::StatusOr<WindowRow> DecodeWindowRow(absl::string_view bytes);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_WINDOW_ROW_H_
