#include "limiter/counting/clearings.h"

#include <algorithm>

namespace deferd {

const Cleared* Clearings::Find(const Subject& subject) const {
  auto found = cleared_.find(subject);
  return found == cleared_.end() ? nullptr : &found->second;
}

absl::Time Clearings::After(const Subject& subject, bool shadow) const {
  const Cleared* cleared = Find(subject);
  if (cleared == nullptr) return absl::InfinitePast();
  return shadow ? cleared->shadow : cleared->enforced;
}

absl::Time Clearings::ApartUntil(const Subject& subject) const {
  const Cleared* cleared = Find(subject);
  return cleared == nullptr ? absl::InfinitePast() : cleared->apart;
}

void Clearings::Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow,
                      std::vector<Subject> within) {
  Cleared& cleared = cleared_[subject];
  if (enforced) {
    cleared.enforced = std::max(cleared.enforced, at);
    cleared.apart = std::max(cleared.apart, at);
  }
  if (shadow) cleared.shadow = std::max(cleared.shadow, at);
  cleared.within = std::move(within);
  Changed(subject);
}

void Clearings::SetApart(const Subject& subject, absl::Time at, std::vector<Subject> within) {
  Cleared& cleared = cleared_[subject];
  cleared.apart = std::max(cleared.apart, at);
  cleared.within = std::move(within);
  Changed(subject);
}

void Clearings::ForgetBefore(absl::Time t) {
  absl::erase_if(cleared_, [&](const auto& entry) {
    if (entry.second.latest() >= t) return false;
    Changed(entry.first);
    return true;
  });
}

void Clearings::BringBackTo(absl::Time now) {
  for (auto& [subject, cleared] : cleared_) {
    if (cleared.latest() <= now) continue;
    for (absl::Time* one : {&cleared.enforced, &cleared.shadow, &cleared.apart}) {
      *one = std::min(*one, now);
    }
    Changed(subject);
  }
}

void Clearings::ForEach(absl::FunctionRef<void(const Subject&)> tell) const {
  for (const auto& [subject, cleared] : cleared_) tell(subject);
}

void Clearings::SetChanged(const std::vector<Subject>& subjects) {
  changed_.insert(changed_.end(), subjects.begin(), subjects.end());
}

void Clearings::Restore(const Subject& subject, Cleared cleared) {
  cleared_[subject] = std::move(cleared);
}

}  // namespace deferd
