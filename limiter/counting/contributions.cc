#include "limiter/counting/contributions.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace deferd {

MessageRecord& Contributions::OfMessage(const MessageKey& key) {
  auto it = messages_.find(key);
  if (it != messages_.end()) return it->second;
  if (messages_.size() >= max_messages_) EvictOldest();
  return messages_[key];
}

MessageRecord* Contributions::Find(const MessageKey& key) {
  auto it = messages_.find(key);
  return it == messages_.end() ? nullptr : &it->second;
}

void Contributions::Forget(const MessageKey& key) {
  auto it = messages_.find(key);
  if (it == messages_.end()) return;
  if (it->second.stored) gone_.push_back(key);
  messages_.erase(it);
}

void Contributions::ForgetAfter(absl::Time t) {
  for (auto& [key, message] : messages_) {
    for (auto& [name, recipient] : message.recipients) {
      if (recipient.last <= t && recipient.dated <= t) continue;
      recipient.last = std::min(recipient.last, t);
      recipient.left_out.reset();
      if (recipient.dated > t) {
        recipient.outcome.reset();
        recipient.dated = t;
        recipient.place.clear();
      }
      Changed(key, &message);
    }
  }
}

void Contributions::Changed(const MessageKey& key, MessageRecord* record) {
  if (!tell_changes_ || record->changed) return;
  record->changed = true;
  changed_.push_back(key);
}

std::vector<MessageKey> Contributions::TakeChanged() {
  for (const MessageKey& key : changed_) {
    if (MessageRecord* record = Find(key)) record->changed = false;
  }
  return std::exchange(changed_, {});
}

std::vector<MessageKey> Contributions::TakeGone() { return std::exchange(gone_, {}); }

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
  absl::erase_if(messages_, [&](const auto& entry) {
    if (entry.first.arrival > oldest_kept) return false;
    if (entry.second.stored) gone_.push_back(entry.first);
    return true;
  });
  evicted_ += static_cast<int64_t>(before - messages_.size());
}

}  // namespace deferd
