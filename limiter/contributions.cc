#include "limiter/contributions.h"

#include <algorithm>
#include <vector>

namespace deferd {

MessageRecord& Contributions::OfMessage(const MessageKey& key) {
  auto it = messages_.find(key);
  if (it != messages_.end()) return it->second;
  if (messages_.size() >= max_messages_) EvictOldest();
  return messages_[key];
}

// Messages whose completion was never logged would pile up; the oldest tenth goes at once, so that
// the scan is paid rarely.
void Contributions::EvictOldest() {
  std::vector<absl::Time> arrivals;
  arrivals.reserve(messages_.size());
  for (const auto& [key, record] : messages_) arrivals.push_back(key.arrival);
  auto cut = arrivals.begin() + arrivals.size() / 10;
  std::nth_element(arrivals.begin(), cut, arrivals.end());
  const absl::Time oldest_kept = *cut;
  size_t before = messages_.size();
  absl::erase_if(messages_, [&](const auto& entry) { return entry.first.arrival <= oldest_kept; });
  evicted_ += static_cast<int64_t>(before - messages_.size());
}

}  // namespace deferd
