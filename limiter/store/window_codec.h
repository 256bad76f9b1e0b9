// Windows in the form in which a store keeps them.
//
// Pure. A row is that of store/window_row.h; of what is left out there is one row a class.

#ifndef DEFERD_LIMITER_STORE_WINDOW_CODEC_H_
#define DEFERD_LIMITER_STORE_WINDOW_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/counting/left_out_windows.h"
#include "limiter/counting/window.h"
#include "limiter/store/window_row.h"

namespace deferd {

// Its cells as a row's, each `shift` steps later.
WindowRow RowOf(const Window& window, int64_t shift = 0);
// Puts a cell back at `step`, not before those put back already.
void RestoreCell(const WindowCell& cell, int64_t step, Window* window);
std::string RowText(const Window& window);
std::string LeftOutText(const LeftOutWindows& windows);

// Puts back what is still live at `now_step` into an empty window. DataLoss if the bytes are
// damaged.
absl::Status ReadRow(absl::string_view row, const StepClock& steps, int64_t now_step,
                     Window* window);
absl::Status ReadLeftOut(absl::string_view text, const StepClock& steps, int64_t now_step,
                         LeftOutWindows* windows);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_WINDOW_CODEC_H_
