// The part of the limiter that knows which subject is within which, and whose counts are whose.
//
// A domain's counts are all that it is charged with, less all of its narrower subjects that have an
// open enforced case, and less what a narrower subject caused until a case of its own was cleared.
// So what one login did falls on its domain neither while the login is blocked nor when that ends.

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/algorithm/container.h"
#include "limiter/limiter.h"

namespace deferd {

namespace {

bool MayBePart(SubjectKind kind) {
  return kind == SubjectKind::kLogin || kind == SubjectKind::kAccount ||
         kind == SubjectKind::kScript;
}

// A login of two domains is taken out of both as a whole; too little is better than blame.
Counts NotBelowZero(Counts counts) {
  for (int64_t* one :
       {&counts.delivered, &counts.deferred, &counts.failed, &counts.surplus, &counts.rejected}) {
    *one = std::max<int64_t>(0, *one);
  }
  counts.surplus = std::min(counts.surplus, counts.delivered);
  return counts;
}

// The last step of `t`; infinite times are before and after all steps.
int64_t StepAt(const StepClock& steps, absl::Time t) {
  if (t == absl::InfinitePast()) return std::numeric_limits<int64_t>::min();
  if (t == absl::InfiniteFuture()) return std::numeric_limits<int64_t>::max();
  return steps.StepOf(t);
}

void AddUnique(const Subject& subject, std::vector<Subject>* list) {
  if (!absl::c_linear_search(*list, subject)) list->push_back(subject);
}

}  // namespace

std::vector<Subject> Limiter::WithinOf(const Subject& subject) const {
  std::vector<Subject> within;
  if (!MayBePart(subject.kind)) return within;
  std::string domain = DomainByLists(*settings_.lists, subject);
  if (!domain.empty()) within.push_back({SubjectKind::kDomain, std::move(domain)});
  auto learned = learned_within_.find(subject);
  if (learned == learned_within_.end()) return within;
  for (const Subject& one : learned->second) AddUnique(one, &within);
  return within;
}

std::vector<Case> Limiter::OpenPartsOf(const Subject& domain) const {
  std::vector<Case> parts;
  if (domain.kind != SubjectKind::kDomain) return parts;
  for (Case& record : cases_->Open()) {
    if (!MayBePart(record.subject.kind)) continue;
    if (record.within == domain || absl::c_linear_search(WithinOf(record.subject), domain)) {
      parts.push_back(std::move(record));
    }
  }
  return parts;
}

Subject Limiter::FirstWithin(const Subject& subject) const {
  std::vector<Subject> within = WithinOf(subject);
  return within.empty() ? Subject() : std::move(within.front());
}

// A hosting panel's word, or a map that was another when the message came.
void Limiter::LearnWithin(const ChargedSubjects& charged) {
  if (charged.size() != 2 || !MayBePart(charged.front().subject.kind)) return;
  if (!Tracks(charged, charged.front())) return;
  const Subject& part = charged.front().subject;
  const Subject& domain = charged.back().subject;
  if (shared_ != nullptr) shared_->parts[domain].insert(part);
  if (DomainByLists(*settings_.lists, part) == domain.id) return;
  AddUnique(domain, &learned_within_[part]);
}

// What was charged by the lists that go stays known.
void Limiter::KeepWithin(const ChargeLists& next) {
  auto keep = [&](const Subject& part) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (!MayBePart(part.kind)) return;
    std::string domain = DomainByLists(*settings_.lists, part);
    if (domain.empty() || domain == DomainByLists(next, part)) return;
    AddUnique({SubjectKind::kDomain, std::move(domain)}, &learned_within_[part]);
  };
  for (const auto& [subject, state] : subjects_) keep(subject);
  for (const auto& [subject, cleared] : cleared_) keep(subject);
  for (const Subject& subject : parts_blocked_) keep(subject);
}

void Limiter::SetApart(const Subject& part, const Subject& within) {
  if (within.id.empty()) return;
  AddUnique(part, &apart_[within]);
  if (DomainByLists(*settings_.lists, part) != within.id) {
    AddUnique(within, &learned_within_[part]);
  }
}

void Limiter::NotePart(const Case& record) {
  if (!MayBePart(record.subject.kind)) return;
  SetApart(record.subject, record.within);
  for (const Subject& domain : WithinOf(record.subject)) SetApart(record.subject, domain);
  if (record.state != CaseState::kClosed) {
    parts_blocked_.insert(record.subject);
    // The others' part of it has to be known, to be taken out of the domain's.
    if (shared_ != nullptr) ShareSubject(record.subject);
    return;
  }
  parts_blocked_.erase(record.subject);
  if (record.closed_by != "incident" && record.closed_by != "policy") return;  // Clear says it
  Cleared& cleared = cleared_[record.subject];
  cleared.apart = std::max(cleared.apart, record.closed_at);
  cleared.within = WithinOf(record.subject);
  if (options_.keep) changes_.clearings.push_back(record.subject);
}

absl::Time Limiter::ApartUntil(const Subject& part) const {
  if (parts_blocked_.contains(part)) return absl::InfiniteFuture();
  auto cleared = cleared_.find(part);
  return cleared == cleared_.end() ? absl::InfinitePast() : cleared->second.apart;
}

void Limiter::ForgetParts(absl::Time before) {
  for (auto it = apart_.begin(); it != apart_.end();) {
    std::vector<Subject>& parts = it->second;
    parts.erase(std::remove_if(parts.begin(), parts.end(),
                               [&](const Subject& part) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                                 return ApartUntil(part) < before;
                               }),
                parts.end());
    if (parts.empty()) {
      apart_.erase(it++);
    } else {
      ++it;
    }
  }
  absl::erase_if(learned_within_, [&](const auto& entry) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return !subjects_.contains(entry.first) && ApartUntil(entry.first) < before;
  });
  if (shared_ == nullptr) return;
  for (auto it = shared_->parts.begin(); it != shared_->parts.end();) {
    absl::erase_if(it->second, [&](const Subject& part) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return !subjects_.contains(part);
    });
    if (it->second.empty()) {
      shared_->parts.erase(it++);
    } else {
      ++it;
    }
  }
}

std::optional<size_t> Limiter::WindowOf(absl::Duration length) const {
  for (size_t i = 0; i < window_clocks_.size(); ++i) {
    if (window_clocks_[i].steps.window() == length) return i;
  }
  return std::nullopt;
}

Counts Limiter::Whole(const Subject& subject, size_t window, int64_t now_step, int64_t after_step,
                      bool own_only) const {
  Counts sum;
  auto found = subjects_.find(subject);
  if (found != subjects_.end()) sum = found->second.windows[window].Sum(now_step, after_step);
  if (shared_ == nullptr || own_only) return sum;
  return sum +=
         shared_->Others(subject, window_clocks_[window].steps.window(), now_step, after_step);
}

Counts Limiter::CountsOf(const Subject& subject, absl::Duration length, absl::Time now,
                         absl::Time after, bool shadow, bool own_only) const {
  const std::optional<size_t> window = WindowOf(length);
  if (!window.has_value()) return {};
  auto cleared = cleared_.find(subject);
  if (cleared != cleared_.end()) {
    after = std::max(after, shadow ? cleared->second.shadow : cleared->second.enforced);
  }
  const StepClock& steps = window_clocks_[*window].steps;
  const int64_t now_step = steps.StepOf(now);
  const int64_t after_step = StepAt(steps, after);
  Counts counts = Whole(subject, *window, now_step, after_step, own_only);
  auto parts = apart_.find(subject);
  if (parts == apart_.end()) return counts;
  for (const Subject& part : parts->second) {
    const int64_t until = StepAt(steps, ApartUntil(part));
    if (until <= after_step) continue;
    counts -= Whole(part, *window, now_step, after_step, own_only);
    // What came after it was cleared is the domain's again.
    if (until < now_step) counts += Whole(part, *window, now_step, until, own_only);
  }
  return NotBelowZero(counts);
}

// The others' parts as counted, and the rest, which is this node's.
std::vector<std::pair<std::string, Counts>> Limiter::CountsByNode(const Subject& subject,
                                                                  bool shadow,
                                                                  absl::Duration length,
                                                                  const Counts& sum,
                                                                  absl::Time now) const {
  const StepClock steps(length);
  const int64_t now_step = steps.StepOf(now);
  int64_t after_step = now_step - StepClock::kSteps;
  auto cleared = cleared_.find(subject);
  if (cleared != cleared_.end()) {
    const absl::Time after = shadow ? cleared->second.shadow : cleared->second.enforced;
    after_step = std::max(after_step, StepAt(steps, after));
  }
  auto nodes = shared_->OthersByNode(subject, length, now_step, after_step);
  auto of_node = [&nodes](const std::string& node) {
    return absl::c_find_if(nodes, [&](const auto& one) { return one.first == node; });
  };
  if (auto parts = apart_.find(subject); parts != apart_.end()) {
    for (const Subject& part : parts->second) {
      const int64_t until = StepAt(steps, ApartUntil(part));
      if (until <= after_step) continue;
      for (const auto& [node, counts] : shared_->OthersByNode(part, length, now_step, after_step)) {
        if (auto one = of_node(node); one != nodes.end()) one->second -= counts;
      }
      if (until >= now_step) continue;
      for (const auto& [node, counts] : shared_->OthersByNode(part, length, now_step, until)) {
        if (auto one = of_node(node); one != nodes.end()) one->second += counts;
      }
    }
  }
  Counts rest = sum;
  for (auto& [node, counts] : nodes) {
    counts = NotBelowZero(counts);
    rest -= counts;
  }
  nodes.erase(std::remove_if(nodes.begin(), nodes.end(),
                             [](const auto& one) {
                               return one.second.total() == 0 && one.second.rejected == 0;
                             }),
              nodes.end());
  nodes.emplace_back(options_.node, NotBelowZero(rest));
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return nodes;
}

}  // namespace deferd
