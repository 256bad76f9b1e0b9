#include "limiter/intake/open_messages.h"

namespace deferd {

ArrivedMessage* OpenMessages::Open(absl::string_view id, MessageKey* forgotten) {
  if (forgotten != nullptr) forgotten->id.clear();
  const auto forget = [&](const Slot& slot) {
    if (forgotten == nullptr) return;
    const absl::string_view text = Text(slot.id);
    forgotten->id.assign(text.data(), text.size());
    forgotten->arrival = slot.message.arrival;
  };
  const Id key = MakeId(id);
  const auto [it, is_new] = slot_of_.try_emplace(key, kNone);
  if (!is_new) {
    forget(slots_[it->second]);
    Unlink(it->second);
  } else if (slot_of_.size() > capacity_) {
    const uint32_t reused = oldest_;
    forget(slots_[reused]);
    Unlink(reused);
    it->second = reused;
    slot_of_.erase(slots_[reused].id);
    ++evicted_;
    slots_[reused].id = key;
    Append(reused);
    return &slots_[reused].message;
  } else if (!free_.empty()) {
    it->second = free_.back();
    free_.pop_back();
  } else {
    it->second = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  const uint32_t index = it->second;
  slots_[index].id = key;
  Append(index);
  return &slots_[index].message;
}

ArrivedMessage* OpenMessages::Find(absl::string_view id) {
  const auto it = slot_of_.find(MakeId(id));
  return it == slot_of_.end() ? nullptr : &slots_[it->second].message;
}

void OpenMessages::Close(absl::string_view id) {
  const auto it = slot_of_.find(MakeId(id));
  if (it == slot_of_.end()) return;
  Unlink(it->second);
  free_.push_back(it->second);
  slot_of_.erase(it);
}

void OpenMessages::Append(uint32_t index) {
  slots_[index].older = newest_;
  slots_[index].newer = kNone;
  (newest_ == kNone ? oldest_ : slots_[newest_].newer) = index;
  newest_ = index;
}

void OpenMessages::Unlink(uint32_t index) {
  const Slot& slot = slots_[index];
  (slot.older == kNone ? oldest_ : slots_[slot.older].newer) = slot.newer;
  (slot.newer == kNone ? newest_ : slots_[slot.newer].older) = slot.older;
}

}  // namespace deferd
