#include "limiter/counting/contributions.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace deferd {

MessageRecord& Contributions::OfMessage(const MessageKey& key) {
  if (recipients_ >= max_recipients_) EvictOldest();
  auto it = messages_.find(key);
  if (it != messages_.end()) return it->second;
  if (messages_.size() >= max_messages_) EvictOldest();
  return messages_[key];
}

Recipients::Found Contributions::OfRecipient(absl::string_view name, MessageRecord* record) {
  const size_t before = record->recipients.size();
  const Recipients::Found found = record->recipients.Of(name);
  recipients_ += record->recipients.size() - before;
  return found;
}

MessageRecord* Contributions::Find(const MessageKey& key) {
  auto it = messages_.find(key);
  return it == messages_.end() ? nullptr : &it->second;
}

void Contributions::Forget(const MessageKey& key) {
  auto it = messages_.find(key);
  if (it == messages_.end()) return;
  Drop(key, it->second);
  messages_.erase(it);
}

void Contributions::Drop(const MessageKey& key, const MessageRecord& record) {
  recipients_ -= record.recipients.size();
  if (!record.stored) return;
  for (size_t part = 0; part < record.recipients.parts(); ++part) gone_.push_back({key, part});
}

void Contributions::ForgetAfter(absl::Time t) {
  for (auto& [key, message] : messages_) {
    for (size_t part = 0; part < message.recipients.parts(); ++part) {
      for (auto& [name, recipient] : message.recipients.PartAt(part).entries) {
        if (recipient.last <= t && recipient.dated <= t) continue;
        recipient.last = std::min(recipient.last, t);
        recipient.left_out.reset();
        if (recipient.dated > t) {
          recipient.outcome.reset();
          recipient.dated = t;
          recipient.place.clear();
        }
        Changed(key, &message, part);
      }
    }
  }
}

void Contributions::Changed(const MessageKey& key, MessageRecord* record, size_t part) {
  if (!track_changes_) return;
  bool& changed = record->recipients.PartAt(part).changed;
  if (!changed) changed_.push_back({key, part});
  changed = true;
}

std::vector<Contributions::Part> Contributions::TakeChanged() {
  for (const auto& [key, part] : changed_) {
    MessageRecord* const record = Find(key);
    if (record == nullptr || part >= record->recipients.parts()) continue;
    record->recipients.PartAt(part).changed = false;
  }
  return std::exchange(changed_, {});
}

std::vector<Contributions::Part> Contributions::TakeGone() { return std::exchange(gone_, {}); }

void Contributions::Restore(MessagePart part) {
  MessageRecord& record = messages_[part.message];
  record.stored = true;
  if (part.part == 0) {
    record.charged = std::move(part.charged);
    record.sent_recipients = part.sent_recipients;
  }
  const bool whole =
      part.recipients.size() > Recipients::kPart || part.diluting.size() > MessageRecord::kNames;
  for (Recipients::Entry& entry : part.recipients) {
    ++recipients_;
    if (whole) {
      *record.recipients.Of(entry.name).record = std::move(entry.record);
    } else {
      record.recipients.Restore(part.part, std::move(entry));
    }
  }
  size_t number = part.part * MessageRecord::kNames;
  for (const auto& [name, count] : part.diluting) record.dilution.Restore(number++, name, count);
  const size_t last = number == 0 ? 0 : (number - 1) / MessageRecord::kNames;
  record.recipients.PartAt(std::max(part.part, last));
  if (!whole) return;
  for (size_t i = 0; i < record.recipients.parts(); ++i) Changed(part.message, &record, i);
}

// Messages whose completion was never logged would pile up; the oldest tenth goes at once, so that
// the scan is paid rarely.
void Contributions::EvictOldest() {
  std::vector<std::pair<absl::Time, size_t>> arrivals;  // and recipients
  arrivals.reserve(messages_.size());
  for (const auto& [key, record] : messages_) {
    arrivals.emplace_back(key.arrival, record.recipients.size());
  }
  std::sort(arrivals.begin(), arrivals.end());
  const size_t tenth = messages_.size() >= max_messages_ ? messages_.size() / 10 : 0;
  const size_t most_left = max_recipients_ - max_recipients_ / 10;
  size_t left = recipients_;
  absl::Time newest_gone = absl::InfinitePast();
  for (size_t i = 0; i < arrivals.size() && (i <= tenth || left > most_left); ++i) {
    newest_gone = arrivals[i].first;
    left -= arrivals[i].second;
  }
  const size_t before = messages_.size();
  absl::erase_if(messages_, [&](const auto& entry) {
    if (entry.first.arrival > newest_gone) return false;
    Drop(entry.first, entry.second);
    return true;
  });
  evicted_ += static_cast<int64_t>(before - messages_.size());
}

}  // namespace deferd
