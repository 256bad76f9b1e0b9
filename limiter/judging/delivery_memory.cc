#include "limiter/judging/delivery_memory.h"

#include <algorithm>
#include <array>

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

// What is over a day old, and a tenth of those that begin with the commonest letter, so that the
// scan is paid rarely, and names of one sort do not drive out those of another.
void DeliveryMemory::Forget(absl::Time now, std::vector<std::string>* gone) {
  std::array<std::vector<absl::Time>, 256> times;
  const auto sort_of = [](const std::string& name) {
    return static_cast<unsigned char>(name.empty() ? '\0' : name.front());
  };
  for (const auto& [name, time] : seen_) times[sort_of(name)].push_back(time);
  const auto commonest = std::max_element(
      times.begin(), times.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  auto cut = commonest->begin() + static_cast<ptrdiff_t>(commonest->size() / 10);
  std::nth_element(commonest->begin(), cut, commonest->end());
  const auto sort = static_cast<unsigned char>(commonest - times.begin());
  absl::erase_if(seen_, [&](const auto& entry) {
    const bool goes =
        (sort_of(entry.first) == sort && entry.second <= *cut) || entry.second < now - kLately;
    if (goes) gone->push_back(entry.first);
    return goes;
  });
}

}  // namespace deferd
