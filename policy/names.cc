#include "policy/names.h"

#include <algorithm>

#include "absl/algorithm/container.h"

namespace deferd {

bool NameList::Matches(const Subject& subject, absl::string_view within) const {
  if (!subjects.empty() && subjects.contains(subject)) return true;
  if (domains.empty()) return false;
  const absl::string_view domain = subject.DomainPart();
  if (!domain.empty() && domains.Matches(domain)) return true;
  return !within.empty() && within != domain && domains.Matches(within);
}

bool Selection::Lists(const Subject& subject, absl::string_view within) const {
  return listed.Matches(subject, within) ||
         absl::c_any_of(tags, [&](const auto& tag) { return tag->names.Matches(subject, within); });
}

bool Selection::Matches(const Subject& subject, absl::string_view within) const {
  if (!everybody() && !Lists(subject, within)) return false;
  return except.empty() || !except.Matches(subject, within);
}

bool operator==(const Selection& a, const Selection& b) {
  const auto same = [](const auto& one, const auto& other) {
    return one->name == other->name && one->names == other->names;
  };
  return a.listed == b.listed && a.except == b.except && a.given == b.given &&
         absl::c_equal(a.tags, b.tags, same);
}

bool NameIndex::Add(uint32_t number, const Selection& names) {
  size_t named = names.listed.size();
  for (const auto& tag : names.tags) {
    named += tag->names.everybody() ? kFew + 1 : tag->names.listed.size();
  }
  if (names.everybody() || named > kFew) {
    general_.push_back(number);
    return false;
  }
  AddList(number, names.listed);
  for (const auto& tag : names.tags) AddList(number, tag->names.listed);
  return true;
}

void NameIndex::AddList(uint32_t number, const NameList& list) {
  for (const DomainPattern& pattern : list.domains) {
    Named& named = by_domain_[pattern.name()];
    (pattern.below() ? named.below : named.itself).push_back(number);
  }
  for (const Subject& subject : list.subjects) by_subject_[subject].push_back(number);
}

void NameIndex::Find(absl::string_view domain, Numbers* found) const {
  auto named = by_domain_.find(domain);
  if (named != by_domain_.end()) {
    found->insert(found->end(), named->second.itself.begin(), named->second.itself.end());
  }
  for (size_t dot = domain.find('.'); dot != absl::string_view::npos;
       dot = domain.find('.', dot + 1)) {
    named = by_domain_.find(domain.substr(dot + 1));
    if (named == by_domain_.end()) continue;
    found->insert(found->end(), named->second.below.begin(), named->second.below.end());
  }
}

NameIndex::Numbers NameIndex::Candidates(const Subject& subject, absl::string_view within) const {
  Numbers found(general_.begin(), general_.end());
  const size_t general = found.size();
  if (!by_subject_.empty()) {
    auto named = by_subject_.find(subject);
    if (named != by_subject_.end()) {
      found.insert(found.end(), named->second.begin(), named->second.end());
    }
  }
  if (!by_domain_.empty()) {
    const absl::string_view domain = subject.DomainPart();
    if (!domain.empty()) Find(domain, &found);
    if (!within.empty() && within != domain) Find(within, &found);
  }
  if (found.size() == general) return found;
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace deferd
