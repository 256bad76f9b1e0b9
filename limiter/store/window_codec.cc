#include "limiter/store/window_codec.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace deferd {

namespace {

using Json = nlohmann::json;

constexpr char kCounted[] = "counted:";
constexpr char kRecipients[] = "recipients";
constexpr char kRecipientsByClass[] = "recipients_by_class";
// Of a list of recipients: version f64, format u8, then step u32, recipient u64 and number u32 of
// each, little endian.
constexpr uint8_t kRecipientsFormat = 1;

void AppendLittle(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t Little(absl::string_view text, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= uint64_t{static_cast<uint8_t>(text[i])} << (8 * i);
  return value;
}

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
  window->Restore(step, CountedOutcome::kSent, counts.sent);
  window->Restore(step, CountedOutcome::kSentRecipient, counts.sent_recipients);
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

std::string SideText(const SideWindows& windows) {
  Json rows = Json::array();
  const auto add = [&](std::string name, const std::string& row) {
    rows.push_back({std::move(name), Json::binary(std::vector<uint8_t>(row.begin(), row.end()))});
  };
  windows.left_out.ForEach([&](ReplyClass reply_class, const Window& window) {
    add(std::string(ReplyClassName(reply_class)), RowText(window));
  });
  windows.counted.ForEach([&](ReplyClass reply_class, const Window& window) {
    add(absl::StrCat(kCounted, ReplyClassName(reply_class)), RowText(window));
  });
  if (!windows.recipients.empty()) add(kRecipients, RecipientsText(windows.recipients, 0));
  if (!windows.recipients_by_class.empty()) {
    add(kRecipientsByClass, RecipientsText(windows.recipients_by_class, 0));
  }
  std::string text;
  Json::to_msgpack(rows, text);
  return text;
}

absl::Status ReadSide(absl::string_view text, const StepClock& steps, int64_t now_step,
                      SideWindows* windows) {
  try {  // nlohmann-json throws where the shape is another than expected; it ends here
    for (const Json& one : Json::from_msgpack(text.begin(), text.end())) {
      const std::string whole = one.at(0).get<std::string>();
      const std::vector<uint8_t>& bytes = one.at(1).get_binary();
      const std::string row(bytes.begin(), bytes.end());
      if (whole == kRecipients || whole == kRecipientsByClass) {
        absl::Status read = ReadRecipients(
            row, now_step - StepClock::kSteps + 1, now_step, 0,
            whole == kRecipients ? &windows->recipients : &windows->recipients_by_class);
        if (!read.ok()) return read;
        continue;
      }
      absl::string_view name = whole;
      ClassWindows& list =
          absl::ConsumePrefix(&name, kCounted) ? windows->counted : windows->left_out;
      const std::optional<ReplyClass> known = ParseReplyClass(name);
      if (!known.has_value()) continue;  // of another version
      absl::Status read = ReadRow(row, steps, now_step, list.Of(*known));
      if (!read.ok()) return read;
    }
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("stored side windows are damaged: ", error.what()));
  }
  windows->Expire(now_step);
  return absl::OkStatus();
}

std::string RecipientsText(const RecipientWindow& window, double version, int64_t shift,
                           std::optional<size_t> most) {
  std::vector<RecipientWindow::Entry> entries = window.entries();
  if (most.has_value()) {
    absl::flat_hash_map<uint64_t, RecipientWindow::Entry> newest;
    for (const RecipientWindow::Entry& entry : entries) {
      RecipientWindow::Entry& one = newest[entry.recipient];
      one = {std::max(one.step, entry.step), entry.recipient, one.count + entry.count};
    }
    entries.clear();
    for (const auto& [number, entry] : newest) entries.push_back(entry);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::tie(a.step, a.recipient) < std::tie(b.step, b.recipient);
    });
    if (entries.size() > *most) entries.erase(entries.begin(), entries.end() - *most);
  }
  std::string text;
  uint64_t bits = 0;
  std::memcpy(&bits, &version, sizeof(bits));
  AppendLittle(bits, 8, &text);
  text.push_back(static_cast<char>(kRecipientsFormat));
  for (const RecipientWindow::Entry& entry : entries) {
    const int64_t step = entry.step + shift;
    if (step < 0 || step > std::numeric_limits<uint32_t>::max()) continue;
    AppendLittle(static_cast<uint64_t>(step), 4, &text);
    AppendLittle(entry.recipient, 8, &text);
    AppendLittle(static_cast<uint64_t>(std::min<int64_t>(entry.count, 0xFFFFFFFF)), 4, &text);
  }
  return text;
}

absl::Status ReadRecipients(absl::string_view text, int64_t first_step, int64_t last_step,
                            int64_t shift, RecipientWindow* window) {
  constexpr size_t kHead = 9, kEntry = 16;
  if (text.size() < kHead || (text.size() - kHead) % kEntry != 0 ||
      text.size() > kHead + kEntry * RecipientWindow::kMost) {
    return absl::DataLossError(absl::StrCat("recipients of ", text.size(), " bytes: malformed"));
  }
  if (static_cast<uint8_t>(text[8]) != kRecipientsFormat) {
    return absl::UnimplementedError(absl::StrCat("recipients: of format ",
                                                 static_cast<int>(text[8]), ", this deferd knows ",
                                                 static_cast<int>(kRecipientsFormat)));
  }
  for (text.remove_prefix(kHead); !text.empty(); text.remove_prefix(kEntry)) {
    const int64_t step = static_cast<int64_t>(Little(text, 4)) - shift;
    if (step < first_step || step > last_step) continue;
    window->Restore(
        {step, Little(text.substr(4), 8), static_cast<int64_t>(Little(text.substr(12), 4))});
  }
  return absl::OkStatus();
}

}  // namespace deferd
