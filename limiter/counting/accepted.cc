#include "limiter/counting/accepted.h"

#include <algorithm>
#include <vector>

namespace deferd {

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
  if (messages_.size() >= kMost) {
    std::vector<absl::Time> times;
    times.reserve(messages_.size());
    for (const auto& [known, message] : messages_) times.push_back(message.at);
    const auto half = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), half, times.end());
    absl::erase_if(messages_, [&](const auto& one) { return one.second.at <= *half; });
  }
  messages_[id] = {now, arrived};
}

}  // namespace deferd
