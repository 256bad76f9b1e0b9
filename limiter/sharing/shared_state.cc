#include "limiter/sharing/shared_state.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "limiter/store/window_row.h"
#include "limiter/store/window_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

// Others' clocks may be a little ahead; a window can hold as many steps more than are live.
constexpr int64_t kAhead = 3;

// More than a domain can send in a step: a damaged row.
constexpr int64_t kMostInACell = 1'000'000'000;

bool Sane(const WindowRow& row) {
  return row.version < 2 * kMostVersion &&
         std::all_of(row.cells.begin(), row.cells.end(), [](const WindowCell& cell) {
           return std::max({cell.delivered, cell.deferred, cell.failed}) <= kMostInACell;
         });
}

// Bad deliveries by step, of a window's live steps and those ahead.
std::array<int64_t, StepClock::kSteps + kAhead> BadByStep(const Window& window, int64_t now_step) {
  std::array<int64_t, StepClock::kSteps + kAhead> sums = {};
  window.ForEach([&](int64_t step, CountedOutcome outcome, int64_t count) {
    const int64_t at = step - now_step + StepClock::kSteps - 1;
    const bool bad = outcome == CountedOutcome::kDeferred || outcome == CountedOutcome::kFailed;
    if (!bad || at < 0) return;
    if (at < static_cast<int64_t>(sums.size())) sums[at] += count;
  });
  return sums;
}

}  // namespace

const std::vector<SharedState::NodeWindow>* SharedState::Find(const Subject& subject,
                                                              absl::Duration window) const {
  auto found = others_.find(subject);
  if (found == others_.end()) return nullptr;
  for (const OfLength& one : found->second) {
    if (one.length == window) return &one.nodes;
  }
  return nullptr;
}

Counts SharedState::Others(const Subject& subject, absl::Duration window, int64_t now_step,
                           int64_t after_step) const {
  Counts sum;
  const std::vector<NodeWindow>* nodes = Find(subject, window);
  if (nodes == nullptr) return sum;
  for (const NodeWindow& one : *nodes) sum += one.window.Sum(now_step, after_step);
  return sum;
}

std::vector<std::pair<std::string, Counts>> SharedState::OthersByNode(const Subject& subject,
                                                                      absl::Duration window,
                                                                      int64_t now_step,
                                                                      int64_t after_step) const {
  std::vector<std::pair<std::string, Counts>> by_node;
  const std::vector<NodeWindow>* nodes = Find(subject, window);
  if (nodes == nullptr) return by_node;
  for (const NodeWindow& one : *nodes) {
    const Counts part = one.window.Sum(now_step, after_step);
    if (part.total() > 0) by_node.emplace_back(one.node, part);
  }
  return by_node;
}

void SharedState::RefuseRow(const RowKey& key, absl::string_view node, absl::string_view why) {
  ++unreadable_rows;
  refused_last = absl::StrCat("row of node ", Quoted(node), " for ", Quoted(key.subject.ToString()),
                              ": ", why);
}

void SharedState::RefuseCase(const Subject& subject, absl::string_view why) {
  ++unreadable_cases;
  refused_last = absl::StrCat("case of ", Quoted(subject.ToString()), ": ", why);
}

// What the shared store has under this node's own name.
bool SharedState::OwnRowIsForeign(const RowKey& key, absl::string_view bytes) {
  double version = 0;
  if (bytes.size() < sizeof(version)) return true;
  std::memcpy(&version, bytes.data(), sizeof(version));
  if (version <= version_) return !DecodeWindowRow(bytes).ok();
  if (version < kMostVersion) {
    version_ = version;
  } else {
    RefuseRow(key, node_, "its version is out of range");
  }
  return true;
}

SharedState::RowsNews SharedState::SetRows(const RowKey& key, const StepClock& steps,
                                           int64_t now_step, const std::vector<SharedRow>& rows) {
  const int64_t shift = ShiftOf(steps);
  RowsNews news;
  std::vector<NodeWindow> nodes;
  for (const SharedRow& shared : rows) {
    if (shared.node == node_) {
      news.put_again = OwnRowIsForeign(key, shared.row) || news.put_again;
      continue;
    }
    absl::StatusOr<WindowRow> row = DecodeWindowRow(shared.row);
    if (!row.ok() || !Sane(*row)) {
      RefuseRow(key, shared.node,
                row.ok() ? "its counts or its version are out of range" : row.status().message());
      continue;
    }
    NodeWindow one = {shared.node, {}};
    for (const WindowCell& cell : row->cells) {
      const int64_t step = int64_t{cell.step} - shift;
      if (step <= now_step - StepClock::kSteps || step > now_step + kAhead) continue;
      RestoreCell(cell, step, &one.window);
    }
    if (!one.window.empty()) nodes.push_back(std::move(one));
  }

  const std::vector<NodeWindow>* before = Find(key.subject, key.window);
  absl::flat_hash_map<absl::string_view, const Window*> known_windows;
  if (before != nullptr) {
    for (const NodeWindow& old : *before) known_windows[old.node] = &old.window;
  }
  for (const NodeWindow& one : nodes) {
    std::array<int64_t, StepClock::kSteps + kAhead> known = {};
    auto old = known_windows.find(one.node);
    if (old != known_windows.end()) known = BadByStep(*old->second, now_step);
    const auto now = BadByStep(one.window, now_step);
    for (size_t i = 0; i < now.size(); ++i) news.worse = news.worse || now[i] > known[i];
  }

  if (nodes.empty() && before == nullptr) return news;
  std::vector<OfLength>& lengths = others_[key.subject];
  auto at = std::find_if(lengths.begin(), lengths.end(),
                         [&](const OfLength& one) { return one.length == key.window; });
  if (!nodes.empty()) {
    if (at == lengths.end()) at = lengths.insert(at, {key.window, {}});
    at->nodes = std::move(nodes);
  } else if (at != lengths.end()) {
    lengths.erase(at);
  }
  if (lengths.empty()) others_.erase(key.subject);
  return news;
}

void SharedState::Expire(
    absl::FunctionRef<std::optional<int64_t>(absl::Duration window)> now_step) {
  for (auto it = others_.begin(); it != others_.end();) {
    std::vector<OfLength>& lengths = it->second;
    for (OfLength& one : lengths) {
      const std::optional<int64_t> now = now_step(one.length);
      for (NodeWindow& part : one.nodes) {
        part.window.Expire(now.value_or(std::numeric_limits<int64_t>::max()));
      }
      one.nodes.erase(std::remove_if(one.nodes.begin(), one.nodes.end(),
                                     [](const NodeWindow& part) { return part.window.empty(); }),
                      one.nodes.end());
    }
    lengths.erase(std::remove_if(lengths.begin(), lengths.end(),
                                 [](const OfLength& one) { return one.nodes.empty(); }),
                  lengths.end());
    if (lengths.empty()) {
      others_.erase(it++);
    } else {
      ++it;
    }
  }
}

void SharedState::ForEachOther(absl::FunctionRef<void(const Subject&)> tell) const {
  for (const auto& [subject, lengths] : others_) tell(subject);
}

int64_t SharedState::ShiftOf(const StepClock& steps) const {
  const double length = absl::ToDoubleSeconds(steps.window()) / StepClock::kSteps;
  const double shift = absl::ToDoubleSeconds(offset_) / length;
  return static_cast<int64_t>(shift < 0 ? shift - 0.5 : shift + 0.5);
}

bool SharedState::SetOffset(absl::Duration offset, const std::vector<StepClock>& windows) {
  // What trembles about half a step, or a whole second, must not put everything again and again.
  if (absl::AbsDuration(offset - offset_) <= absl::Seconds(1)) return false;
  std::vector<int64_t> before;
  for (const StepClock& steps : windows) before.push_back(ShiftOf(steps));
  offset_ = offset;
  bool moved = false;
  for (size_t i = 0; i < windows.size(); ++i) moved = moved || ShiftOf(windows[i]) != before[i];
  if (moved) others_.clear();  // they are read again
  return moved;
}

}  // namespace deferd
