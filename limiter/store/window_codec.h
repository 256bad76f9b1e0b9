// Windows in the form in which a store keeps them.
//
// Pure. A row is that of store/window_row.h; of what is left out there is one row a class.

#ifndef DEFERD_LIMITER_STORE_WINDOW_CODEC_H_
#define DEFERD_LIMITER_STORE_WINDOW_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/counting/side_windows.h"
#include "limiter/counting/window.h"
#include "limiter/store/window_row.h"

namespace deferd {

// Its cells as a row's, each `shift` steps later.
WindowRow RowOf(const Window& window, int64_t shift = 0);
// Puts a cell back at `step`, not before those put back already.
void RestoreCell(const WindowCell& cell, int64_t step, Window* window);
std::string RowText(const Window& window);
// A list of [NAME, row]: a class of what is left out, "counted:CLASS" of what counts, "recipients".
// Names of another version are skipped.
std::string SideText(const SideWindows& windows);
// The recipients of a window, each with its last step, `shift` steps later; at most `most`, the
// newest. No limit: every entry as it is.
std::string RecipientsText(const RecipientWindow& window, double version, int64_t shift = 0,
                           std::optional<size_t> most = std::nullopt);
// Those from `first_step` to `last_step`, each `shift` steps earlier. DataLoss if damaged.
absl::Status ReadRecipients(absl::string_view text, int64_t first_step, int64_t last_step,
                            int64_t shift, RecipientWindow* window);

// Puts back what is still live at `now_step` into an empty window. DataLoss if the bytes are
// damaged.
absl::Status ReadRow(absl::string_view row, const StepClock& steps, int64_t now_step,
                     Window* window);
absl::Status ReadSide(absl::string_view text, const StepClock& steps, int64_t now_step,
                      SideWindows* windows);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_WINDOW_CODEC_H_
