#include "limiter/counting/message_record.h"

#include "absl/hash/hash.h"

namespace deferd {

namespace {

uint64_t HashOf(absl::string_view name) { return absl::Hash<absl::string_view>()(name); }

}  // namespace

Recipients::Found Recipients::Find(absl::string_view name) const {
  // Parts are this object's own; only their addresses are handed out.
  auto& parts = const_cast<absl::InlinedVector<Part, 1>&>(parts_);
  if (index_ == nullptr) {
    for (size_t part = 0; part < parts.size(); ++part) {
      for (Entry& entry : parts[part].entries) {
        if (entry.name == name) return {&entry.record, part};
      }
    }
    return {};
  }
  for (uint64_t hash = HashOf(name);; ++hash) {
    const auto at = index_->find(hash);
    if (at == index_->end()) return {};
    Entry& entry = parts[at->second.first].entries[at->second.second];
    if (entry.name == name) return {&entry.record, at->second.first};
  }
}

Recipients::Found Recipients::Of(absl::string_view name) {
  const Found found = Find(name);
  if (found.record != nullptr) return found;
  while (with_room_ < parts_.size() && parts_[with_room_].entries.size() >= kPart) ++with_room_;
  Restore(with_room_, {std::string(name), {}});
  return {&parts_[with_room_].entries.back().record, with_room_};
}

void Recipients::Restore(size_t part, Entry entry) {
  std::vector<Entry>& entries = PartAt(part).entries;
  entries.push_back(std::move(entry));
  ++size_;
  if (index_ != nullptr) {
    AddToIndex(entries.back().name, part, entries.size() - 1);
  } else if (size_ > kSearched) {
    index_ = std::make_unique<absl::flat_hash_map<uint64_t, std::pair<uint32_t, uint32_t>>>();
    for (size_t i = 0; i < parts_.size(); ++i) {
      for (size_t slot = 0; slot < parts_[i].entries.size(); ++slot) {
        AddToIndex(parts_[i].entries[slot].name, i, slot);
      }
    }
  }
}

Recipients::Part& Recipients::PartAt(size_t number) {
  if (number >= parts_.size()) parts_.resize(number + 1);
  return parts_[number];
}

void Recipients::AddToIndex(absl::string_view name, size_t part, size_t slot) {
  const std::pair<uint32_t, uint32_t> at = {static_cast<uint32_t>(part),
                                            static_cast<uint32_t>(slot)};
  for (uint64_t hash = HashOf(name); !index_->try_emplace(hash, at).second; ++hash) {
  }
}

}  // namespace deferd
