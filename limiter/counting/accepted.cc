#include "limiter/counting/accepted.h"

#include <algorithm>
#include <vector>

namespace deferd {

namespace {

// Makes room in a map whose values have a time: the older half goes.
template <typename Map>
void DropOlderHalf(Map* map) {
  std::vector<absl::Time> times;
  times.reserve(map->size());
  for (const auto& [known, value] : *map) times.push_back(value.at);
  const auto half = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), half, times.end());
  absl::erase_if(*map, [&](const auto& one) { return one.second.at <= *half; });
}

}  // namespace

bool Accepted::TakeQuestion(const std::string& id, absl::Time now) {
  if (Find(id, now) != nullptr) return false;
  Put(id, now, /*arrived=*/false);
  return true;
}

bool Accepted::TakeArrival(const std::string& id, absl::Time now) {
  if (Message* known = Find(id, now); known != nullptr && !known->arrived) {
    known->arrived = true;
    return false;
  }
  Put(id, now, /*arrived=*/true);
  return true;
}

Accepted::Message* Accepted::Find(const std::string& id, absl::Time now) {
  auto found = messages_.find(id);
  if (found == messages_.end() || now - found->second.at > kSame) return nullptr;
  return &found->second;
}

void Accepted::Put(const std::string& id, absl::Time now, bool arrived) {
  if (messages_.size() >= kMost) DropOlderHalf(&messages_);
  messages_[id] = {now, arrived};
}

void Accepted::Await(const std::string& id, absl::Time now, int64_t recipients) {
  if (awaited_.size() >= kMost) DropOlderHalf(&awaited_);
  awaited_[id] = {now, recipients};
}

std::optional<int64_t> Accepted::TakeAwaited(const std::string& id) {
  const auto found = awaited_.find(id);
  if (found == awaited_.end()) return std::nullopt;
  const int64_t recipients = found->second.recipients;
  awaited_.erase(found);
  return recipients;
}

}  // namespace deferd
