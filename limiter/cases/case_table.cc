#include "limiter/cases/case_table.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace deferd {

std::optional<Case> CaseTable::FindEnforced(const Subject& subject, absl::Time now) const {
  if (!AnyOpen()) return std::nullopt;
  std::optional<Case> found = FindOpen(subject, /*shadow=*/false);
  if (found.has_value() && !found->Enforced(now)) found.reset();
  return found;
}

std::optional<Case> CaseTable::FindOpen(const Subject& subject, bool shadow) const {
  MutexLock lock(&mutex_);
  auto it = open_.find(Key{subject, shadow});
  if (it == open_.end()) return std::nullopt;
  return it->second;
}

void CaseTable::Put(CaseChange change, absl::Time time, Case record) {
  MutexLock lock(&mutex_);
  events_.push_front({time, change, record});
  if (events_.size() > kMaxHistory) events_.pop_back();
  Keep(std::move(record));
}

void CaseTable::Keep(Case record) {
  Key key{record.subject, record.shadow};
  auto before = open_.find(key);
  if (before != open_.end()) by_until_.erase({before->second.until, key});
  if (record.state == CaseState::kClosed) {
    if (before != open_.end()) open_.erase(before);
    closed_.push_front(std::move(record));
    if (closed_.size() > kMaxHistory) ForgetOldest();
  } else {
    by_until_.emplace(record.until, key);
    open_.insert_or_assign(std::move(key), std::move(record));
  }
  open_count_.store(open_.size(), std::memory_order_relaxed);
}

void CaseTable::ForgetOldest() {
  if (forgotten_.size() < kMaxHistory) forgotten_.push_back(std::move(closed_.back().id));
  closed_.pop_back();
}

void CaseTable::Restore(std::vector<Case> cases, std::vector<CaseEvent> events) {
  std::stable_sort(cases.begin(), cases.end(),
                   [](const Case& a, const Case& b) { return a.closed_at < b.closed_at; });
  MutexLock lock(&mutex_);
  open_.clear();
  by_until_.clear();
  closed_.clear();
  for (Case& record : cases) Keep(std::move(record));
  events_.assign(std::make_move_iterator(events.rbegin()), std::make_move_iterator(events.rend()));
  if (events_.size() > kMaxHistory) events_.resize(kMaxHistory);
}

void CaseTable::ForgetClosed(absl::Time t) {
  MutexLock lock(&mutex_);
  while (!closed_.empty() && closed_.back().closed_at < t) ForgetOldest();
}

std::vector<std::string> CaseTable::TakeForgotten() {
  MutexLock lock(&mutex_);
  return std::exchange(forgotten_, {});
}

absl::Time CaseTable::EarliestUntil() const {
  MutexLock lock(&mutex_);
  return by_until_.empty() ? absl::InfiniteFuture() : by_until_.begin()->first;
}

std::optional<Case> CaseTable::NextDue(absl::Time t) const {
  MutexLock lock(&mutex_);
  if (by_until_.empty() || by_until_.begin()->first > t) return std::nullopt;
  return open_.at(by_until_.begin()->second);
}

std::vector<Case> CaseTable::Open() const {
  std::vector<Case> cases;
  {
    MutexLock lock(&mutex_);
    cases.reserve(open_.size());
    for (const auto& [key, record] : open_) cases.push_back(record);
  }
  std::sort(cases.begin(), cases.end(), [](const Case& a, const Case& b) {
    return std::tie(a.subject.id, a.subject.kind, a.shadow) <
           std::tie(b.subject.id, b.subject.kind, b.shadow);
  });
  return cases;
}

std::vector<Case> CaseTable::Closed(size_t limit) const {
  MutexLock lock(&mutex_);
  size_t n = std::min(limit, closed_.size());
  return std::vector<Case>(closed_.begin(), closed_.begin() + n);
}

std::vector<CaseEvent> CaseTable::EventsOf(const Subject& subject, size_t limit) const {
  MutexLock lock(&mutex_);
  std::vector<CaseEvent> events;
  for (const CaseEvent& event : events_) {
    if (events.size() == limit) break;
    if (event.record.subject == subject) events.push_back(event);
  }
  return events;
}

size_t CaseTable::CountOpen(bool shadow) const {
  MutexLock lock(&mutex_);
  return std::count_if(open_.begin(), open_.end(),
                       [&](const auto& entry) { return entry.first.shadow == shadow; });
}

}  // namespace deferd
