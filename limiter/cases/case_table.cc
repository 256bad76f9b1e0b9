#include "limiter/cases/case_table.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace deferd {

bool IsPattern(const Subject& subject) {
  return subject.kind == SubjectKind::kDomain && absl::StartsWith(subject.id, "*.");
}

std::vector<Subject> PatternsOf(absl::string_view domain) {
  std::vector<Subject> patterns;
  for (size_t dot = domain.find('.'); dot != absl::string_view::npos;
       dot = domain.find('.', dot + 1)) {
    patterns.push_back({SubjectKind::kDomain, absl::StrCat("*", domain.substr(dot))});
  }
  return patterns;
}

int NarrownessOf(const Subject& subject) {
  constexpr int kHost = 0, kTag = 1000, kDomain = 2000, kPart = 3000;  // a name has under 255 bytes
  if (subject.kind == SubjectKind::kHost) return kHost;
  if (subject.kind != SubjectKind::kDomain && subject.kind != SubjectKind::kForward) return kPart;
  if (absl::StartsWith(subject.id, kTagPrefix)) return kTag;
  return IsPattern(subject) ? static_cast<int>(subject.id.size()) : kDomain;
}

CaseTable::InForce CaseTable::FindInForce(const Subject& subject, absl::Time now) const {
  InForce found;
  if (!AnyOpen()) return found;
  MutexLock lock(&mutex_);
  const auto add = [&](const Case* record) {
    if (record != nullptr && !record->exempts() && record->Enforced(now)) {
      found.blocks.push_back(*record);
    }
  };
  add(FindIn(subject));
  if (patterns_ > 0 && subject.kind == SubjectKind::kDomain) {
    for (const Subject& pattern : PatternsOf(subject.id)) add(FindIn(pattern));
  }
  const auto watched = open_.find(Key{subject, /*shadow=*/true});
  if (watched != open_.end() && watched->second.until > now) found.watched = watched->second;
  return found;
}

std::optional<Case> CaseTable::FindEnforced(const Subject& subject, absl::Time now) const {
  InForce found = FindInForce(subject, now);
  const auto strictest = std::max_element(
      found.blocks.begin(), found.blocks.end(),
      [](const Case& a, const Case& b) { return a.action.Strictest() < b.action.Strictest(); });
  if (strictest == found.blocks.end()) return std::nullopt;
  return std::move(*strictest);
}

std::optional<Case> CaseTable::FindExemption(const Subject& subject,
                                             absl::Span<const Subject> within, const Policy& policy,
                                             absl::Time now) const {
  if (CountExemptions() == 0) return std::nullopt;
  std::vector<Subject> domains(within.begin(), within.end());
  const absl::string_view part = subject.DomainPart();
  if (!part.empty()) domains.push_back({SubjectKind::kDomain, std::string(part)});
  MutexLock lock(&mutex_);
  // One whose time is over, and which nobody has closed yet, does not hide a wider one.
  const auto exempts = [&](const Case* record) {
    return record != nullptr && record->exempts() && record->Enforced(now);
  };
  const Case* found = FindIn(subject);
  for (size_t i = 0; !exempts(found) && i < domains.size(); ++i) found = FindIn(domains[i]);
  for (auto tag = exempt_tags_.begin(); !exempts(found) && tag != exempt_tags_.end(); ++tag) {
    for (const std::shared_ptr<const Tag>& known : policy.tags) {
      if (known->name != *tag) continue;
      if (known->names.Matches(subject, domains.empty() ? "" : domains.front().id)) {
        found = FindIn({SubjectKind::kDomain, absl::StrCat(kTagPrefix, *tag)});
      }
    }
  }
  for (size_t i = 0; patterns_ > 0 && !exempts(found) && i < domains.size(); ++i) {
    for (const Subject& pattern : PatternsOf(domains[i].id)) {
      found = FindIn(pattern);
      if (exempts(found)) break;
    }
  }
  if (!exempts(found)) return std::nullopt;
  return *found;
}

const Case* CaseTable::FindIn(const Subject& subject) const {
  auto it = open_.find(Key{subject, /*shadow=*/false});
  return it == open_.end() ? nullptr : &it->second;
}

void CaseTable::Count(const Case& open, int by) {
  if (open.shadow) return;
  if (IsPattern(open.subject)) patterns_ += static_cast<size_t>(by);
  if (!open.exempts()) return;
  exemptions_.fetch_add(static_cast<size_t>(by), std::memory_order_relaxed);
  absl::string_view tag = open.subject.id;
  if (open.subject.kind != SubjectKind::kDomain || !absl::ConsumePrefix(&tag, kTagPrefix)) return;
  if (by > 0) {
    exempt_tags_.emplace(tag);
  } else {
    exempt_tags_.erase(std::string(tag));
  }
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
  if (before != open_.end()) {
    by_until_.erase({before->second.until, key});
    Count(before->second, -1);
  }
  if (record.state == CaseState::kClosed) {
    if (before != open_.end()) open_.erase(before);
    closed_.push_front(std::move(record));
    if (closed_.size() > kMaxHistory) ForgetOldest();
  } else {
    by_until_.emplace(record.until, key);
    Count(record, 1);
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
  exempt_tags_.clear();
  patterns_ = 0;
  exemptions_.store(0, std::memory_order_relaxed);
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

std::optional<Case> CaseTable::FindById(absl::string_view id) const {
  // Ids end in a number, domains do not: most names are told apart without a search.
  if (id.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(id.back()))) {
    return std::nullopt;
  }
  MutexLock lock(&mutex_);
  for (const auto& [key, record] : open_) {
    if (absl::EqualsIgnoreCase(record.id, id)) return record;
  }
  for (const Case& record : closed_) {
    if (absl::EqualsIgnoreCase(record.id, id)) return record;
  }
  return std::nullopt;
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
  return std::count_if(open_.begin(), open_.end(), [&](const auto& entry) {
    return entry.first.shadow == shadow && !entry.second.exempts();
  });
}

}  // namespace deferd
