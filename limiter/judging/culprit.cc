#include "limiter/judging/culprit.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"

namespace deferd {

namespace {

void AddUnique(const Subject& subject, std::vector<Subject>* list) {
  if (!absl::c_linear_search(*list, subject)) list->push_back(subject);
}

}  // namespace

bool Culprit::MayBePart(SubjectKind kind) {
  return kind == SubjectKind::kLogin || kind == SubjectKind::kAccount ||
         kind == SubjectKind::kScript;
}

std::vector<Subject> Culprit::WithinOf(const Subject& subject) const {
  std::vector<Subject> within;
  if (!MayBePart(subject.kind)) return within;
  std::string domain = DomainByLists(*settings_->lists, subject);
  if (!domain.empty()) within.push_back({SubjectKind::kDomain, std::move(domain)});
  auto learned = learned_.find(subject);
  if (learned == learned_.end()) return within;
  for (const Subject& one : learned->second) AddUnique(one, &within);
  return within;
}

Subject Culprit::FirstWithin(const Subject& subject) const {
  std::vector<Subject> within = WithinOf(subject);
  return within.empty() ? Subject() : std::move(within.front());
}

std::vector<Case> Culprit::PartsAmong(std::vector<Case> cases, const Subject& domain) const {
  std::vector<Case> parts;
  if (domain.kind != SubjectKind::kDomain) return parts;
  for (Case& record : cases) {
    if (!MayBePart(record.subject.kind)) continue;
    if (record.within == domain || absl::c_linear_search(WithinOf(record.subject), domain)) {
      parts.push_back(std::move(record));
    }
  }
  return parts;
}

// A hosting panel's word, or a map that was another when the message came.
void Culprit::Learn(const Subject& part, const Subject& domain) {
  if (DomainByLists(*settings_->lists, part) == domain.id) return;
  AddUnique(domain, &learned_[part]);
}

void Culprit::KeepWithin(
    const ChargeLists& next,
    absl::FunctionRef<void(absl::FunctionRef<void(const Subject&)>)> for_each_subject) {
  auto keep = [&](const Subject& part) {
    if (!MayBePart(part.kind)) return;
    std::string domain = DomainByLists(*settings_->lists, part);
    if (domain.empty() || domain == DomainByLists(next, part)) return;
    AddUnique({SubjectKind::kDomain, std::move(domain)}, &learned_[part]);
  };
  for_each_subject(keep);
  clearings_->ForEach(keep);
  for (const Subject& subject : blocked_) keep(subject);
}

void Culprit::SetApart(const Subject& part, const Subject& within) {
  if (within.id.empty()) return;
  AddUnique(part, &apart_[within]);
  if (DomainByLists(*settings_->lists, part) != within.id) AddUnique(within, &learned_[part]);
}

void Culprit::NoteCase(const Case& record) {
  SetApart(record.subject, record.within);
  for (const Subject& domain : WithinOf(record.subject)) SetApart(record.subject, domain);
  if (record.state == CaseState::kClosed) {
    blocked_.erase(record.subject);
  } else {
    blocked_.insert(record.subject);
  }
}

const std::vector<Subject>* Culprit::Apart(const Subject& domain) const {
  auto parts = apart_.find(domain);
  return parts == apart_.end() ? nullptr : &parts->second;
}

absl::Time Culprit::ApartUntil(const Subject& part) const {
  return blocked_.contains(part) ? absl::InfiniteFuture() : clearings_->ApartUntil(part);
}

void Culprit::ForgetBefore(absl::Time t, absl::FunctionRef<bool(const Subject&)> counted) {
  absl::erase_if(apart_, [&](auto& entry) {
    std::vector<Subject>& parts = entry.second;
    parts.erase(std::remove_if(parts.begin(), parts.end(),
                               [&](const Subject& part) { return ApartUntil(part) < t; }),
                parts.end());
    return parts.empty();
  });
  absl::erase_if(learned_, [&](const auto& entry) {
    return !counted(entry.first) && ApartUntil(entry.first) < t;
  });
}

}  // namespace deferd
