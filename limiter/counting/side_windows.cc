#include "limiter/counting/side_windows.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace deferd {

Window* ClassWindows::Of(ReplyClass reply_class) {
  for (auto& [known, window] : windows_) {
    if (known == reply_class) return &window;
  }
  windows_.emplace_back().first = reply_class;
  return &windows_.back().second;
}

const Window* ClassWindows::Find(ReplyClass reply_class) const {
  for (const auto& [known, window] : windows_) {
    if (known == reply_class) return &window;
  }
  return nullptr;
}

std::vector<std::pair<ReplyClass, int64_t>> ClassWindows::Sum(int64_t now_step,
                                                              int64_t after_step) const {
  std::vector<std::pair<ReplyClass, int64_t>> sums;
  for (const auto& [reply_class, window] : windows_) {
    const int64_t count = window.Sum(now_step, after_step).bad();
    if (count > 0) sums.emplace_back(reply_class, count);
  }
  std::sort(sums.begin(), sums.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  return sums;
}

void ClassWindows::Expire(int64_t now_step) {
  for (auto& [reply_class, window] : windows_) window.Expire(now_step);
  windows_.erase(std::remove_if(windows_.begin(), windows_.end(),
                                [](const auto& entry) { return entry.second.empty(); }),
                 windows_.end());
}

bool ClassWindows::DropAfter(int64_t step) {
  bool dropped = false;
  for (auto& [reply_class, window] : windows_) dropped = window.DropAfter(step) || dropped;
  return dropped;
}

void ClassWindows::ForEach(absl::FunctionRef<void(ReplyClass, const Window&)> tell) const {
  for (const auto& [reply_class, window] : windows_) tell(reply_class, window);
}

namespace {

// The low bits of a number have the class.
constexpr uint64_t kClassBits = 31;
static_assert(kReplyClasses <= kClassBits + 1);

bool IsOf(ClassSet classes, uint64_t number) {
  const uint64_t of = number & kClassBits;
  return of < kReplyClasses && classes.Has(static_cast<ReplyClass>(of));
}

}  // namespace

// FNV-1a, over the address as it is compared: without case.
uint64_t RecipientNumber(absl::string_view recipient) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : recipient) {
    const auto byte =
        static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(c)));
    hash = (hash ^ byte) * 1099511628211ULL;
  }
  return hash;
}

uint64_t RecipientNumber(absl::string_view recipient, ReplyClass reply_class) {
  return (RecipientNumber(recipient) & ~kClassBits) | static_cast<uint64_t>(reply_class);
}

int64_t RecipientWindow::Distinct(const Tally& tally) {
  return std::count_if(tally.begin(), tally.end(), [](const auto& one) { return one.second > 0; });
}

void RecipientWindow::Add(int64_t step, uint64_t recipient, int64_t now_step) {
  Expire(now_step);
  auto at = entries_.end();
  while (at != entries_.begin() && (at - 1)->step > step) --at;
  for (auto same = at; same != entries_.begin() && (same - 1)->step == step; --same) {
    if ((same - 1)->recipient != recipient) continue;
    ++(same - 1)->count;
    return;
  }
  entries_.insert(at, {step, recipient, 1});
  // A tenth at once, so that the rest is moved rarely.
  if (entries_.size() > kMost) entries_.erase(entries_.begin(), entries_.begin() + kMost / 10);
}

bool RecipientWindow::Remove(int64_t step, uint64_t recipient) {
  const auto first = std::lower_bound(entries_.begin(), entries_.end(), step,
                                      [](const Entry& entry, int64_t s) { return entry.step < s; });
  for (auto at = first; at != entries_.end() && at->step == step; ++at) {
    if (at->recipient != recipient) continue;
    if (--at->count == 0) entries_.erase(at);
    return true;
  }
  return false;
}

void RecipientWindow::AddTo(Tally* tally, int64_t now_step, int64_t after_step, int64_t sign,
                            ClassSet classes) const {
  after_step = std::max(after_step, now_step - StepClock::kSteps);
  for (const Entry& entry : entries_) {
    if (entry.step <= after_step || entry.step > now_step) continue;
    if (classes.empty()) {
      (*tally)[entry.recipient] += sign * entry.count;
    } else if (IsOf(classes, entry.recipient)) {
      (*tally)[entry.recipient & ~kClassBits] += sign * entry.count;
    }
  }
}

void RecipientWindow::KeepOnly(ClassSet classes) {
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                [&](const Entry& one) { return !IsOf(classes, one.recipient); }),
                 entries_.end());
}

void RecipientWindow::Expire(int64_t now_step) {
  const auto live = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.step > now_step - StepClock::kSteps;
  });
  entries_.erase(entries_.begin(), live);
}

bool RecipientWindow::DropAfter(int64_t step) {
  const auto later = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.step > step; });
  if (later == entries_.end()) return false;
  entries_.erase(later, entries_.end());
  return true;
}

void RecipientWindow::Restore(const Entry& entry) {
  if (entry.count > 0 && (entries_.empty() || entries_.back().step <= entry.step)) {
    entries_.push_back(entry);
  }
}

}  // namespace deferd
