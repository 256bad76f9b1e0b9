#include "exporter/notice/own_mail.h"

#include "absl/strings/strip.h"

namespace deferd {

void OwnMail::Expect(const std::string& message_id, absl::Time now) {
  MutexLock lock(&mutex_);
  expected_[message_id] = now;
  order_.emplace_back(now, message_id);
  while (order_.size() > kMost) {
    const auto oldest = expected_.find(order_.front().second);
    // It may have been sent again since.
    if (oldest != expected_.end() && oldest->second == order_.front().first) {
      expected_.erase(oldest);
    }
    order_.pop_front();
  }
}

bool OwnMail::TakeArrival(absl::string_view message_id, absl::Time arrival) {
  absl::ConsumePrefix(&message_id, "<");
  absl::ConsumeSuffix(&message_id, ">");
  MutexLock lock(&mutex_);
  if (expected_.empty()) return false;
  const auto found = expected_.find(std::string(message_id));
  if (found == expected_.end()) return false;
  if (arrival < found->second - kBefore || arrival > found->second + kAfter) return false;
  expected_.erase(found);
  return true;
}

void OwnMail::Opened(const std::string& ip, int port) {
  MutexLock lock(&mutex_);
  connections_.emplace(ip, port);
}

void OwnMail::Closed(const std::string& ip, int port) {
  MutexLock lock(&mutex_);
  connections_.erase({ip, port});
}

bool OwnMail::HasConnection(const std::string& ip, int port) const {
  MutexLock lock(&mutex_);
  return connections_.contains({ip, port});
}

std::function<bool(absl::string_view message_id, absl::Time arrival)> OwnMailTestOf(OwnMail* own) {
  return [own](absl::string_view message_id, absl::Time arrival) {
    return own->TakeArrival(message_id, arrival);
  };
}

}  // namespace deferd
