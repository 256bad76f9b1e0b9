#include "limiter/store/window_codec.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace deferd {

namespace {

using Json = nlohmann::json;

}  // namespace

WindowRow RowOf(const Window& window, int64_t shift) {
  WindowRow row;
  window.ForEach([&](int64_t counted, CountedOutcome outcome, int64_t count) {
    const int64_t step = counted + shift;
    if (step < 0) return;  // of a log from before 1970
    const auto stored = static_cast<uint32_t>(step);
    if (row.cells.empty() || row.cells.back().step != stored) row.cells.push_back({.step = stored});
    row.cells.back().counts.Add(outcome, count);
  });
  return row;
}

void RestoreCell(const WindowCell& cell, int64_t step, Window* window) {
  const Counts& counts = cell.counts;
  window->Restore(step, CountedOutcome::kDelivered, counts.delivered - counts.surplus);
  window->Restore(step, CountedOutcome::kDeferred, counts.deferred);
  window->Restore(step, CountedOutcome::kFailed, counts.failed);
  window->Restore(step, CountedOutcome::kSurplus, counts.surplus);
  window->Restore(step, CountedOutcome::kRejected, counts.rejected);
}

std::string RowText(const Window& window) { return EncodeWindowRow(RowOf(window)); }

absl::Status ReadRow(absl::string_view text, const StepClock& steps, int64_t now_step,
                     Window* window) {
  absl::StatusOr<WindowRow> row = DecodeWindowRow(text);
  if (!row.ok()) return row.status();
  for (const WindowCell& cell : row->cells) {
    if (!steps.Live(cell.step, now_step)) continue;
    RestoreCell(cell, cell.step, window);
  }
  return absl::OkStatus();
}

std::string LeftOutText(const LeftOutWindows& windows) {
  Json rows = Json::array();
  windows.ForEach([&](ReplyClass reply_class, const Window& window) {
    const std::string row = RowText(window);
    rows.push_back({std::string(ReplyClassName(reply_class)),
                    Json::binary(std::vector<uint8_t>(row.begin(), row.end()))});
  });
  std::string text;
  Json::to_msgpack(rows, text);
  return text;
}

absl::Status ReadLeftOut(absl::string_view text, const StepClock& steps, int64_t now_step,
                         LeftOutWindows* windows) {
  try {  // nlohmann-json throws where the shape is another than expected; it ends here
    for (const Json& one : Json::from_msgpack(text.begin(), text.end())) {
      const std::optional<ReplyClass> known = ParseReplyClass(one.at(0).get<std::string>());
      if (!known.has_value()) continue;  // of another version
      const std::vector<uint8_t>& bytes = one.at(1).get_binary();
      const std::string row(bytes.begin(), bytes.end());
      absl::Status read = ReadRow(row, steps, now_step, windows->Of(*known));
      if (!read.ok()) return read;
    }
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("stored left-out counts are damaged: ", error.what()));
  }
  windows->Expire(now_step);
  return absl::OkStatus();
}

}  // namespace deferd
