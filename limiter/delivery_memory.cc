#include "limiter/delivery_memory.h"

#include <algorithm>

namespace deferd {

namespace {

constexpr absl::Duration kRenewed = absl::Hours(1);

}  // namespace

bool DeliveryMemory::See(absl::string_view name, absl::Time time, std::vector<std::string>* gone) {
  auto found = seen_.find(name);
  if (found != seen_.end()) {
    if (time < found->second + kRenewed) return false;
    found->second = time;
    return true;
  }
  if (seen_.size() >= kMaxNames) Forget(time, gone);
  seen_.emplace(name, time);
  return true;
}

bool DeliveryMemory::Knows(absl::string_view name, absl::Time now) const {
  const std::optional<absl::Time> seen = Find(name);
  return seen.has_value() && now - *seen <= kLately;
}

std::optional<absl::Time> DeliveryMemory::Find(absl::string_view name) const {
  auto found = seen_.find(name);
  if (found == seen_.end()) return std::nullopt;
  return found->second;
}

// A tenth at least, so that the scan is paid rarely.
void DeliveryMemory::Forget(absl::Time now, std::vector<std::string>* gone) {
  std::vector<absl::Time> times;
  times.reserve(seen_.size());
  for (const auto& [name, time] : seen_) times.push_back(time);
  auto cut = times.begin() + static_cast<ptrdiff_t>(times.size() / 10);
  std::nth_element(times.begin(), cut, times.end());
  const absl::Time last_to_go = std::max(*cut, now - kLately);
  absl::erase_if(seen_, [&](const auto& entry) {
    if (entry.second > last_to_go) return false;
    gone->push_back(entry.first);
    return true;
  });
}

}  // namespace deferd
