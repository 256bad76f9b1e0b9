#include "limiter/admin/near_subjects.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "policy/edit_distance.h"

namespace deferd {

namespace {

constexpr size_t kMaxNear = 3;
constexpr size_t kMaxDistance = 2;
constexpr size_t kMaxName = 100;  // longer names are not compared letter by letter

absl::string_view NameBeforeAt(absl::string_view id) { return id.substr(0, id.rfind('@')); }

// How far `other` is from what was asked for; none: too far.
std::optional<size_t> Farness(const Subject& asked, const Subject& other) {
  const std::string a = absl::AsciiStrToLower(asked.id);
  const std::string b = absl::AsciiStrToLower(other.id);
  if (a == b) return 0;
  // "web1" for local:web1@vm.
  if (NameBeforeAt(b) == a || NameBeforeAt(a) == b) return 1;
  const size_t shorter = std::min(a.size(), b.size());
  if (shorter > kMaxName || std::max(a.size(), b.size()) - shorter > kMaxDistance) {
    return std::nullopt;
  }
  const size_t distance = EditDistance(a, b);
  if (distance > kMaxDistance || distance * 2 > shorter) return std::nullopt;
  return 1 + distance;
}

}  // namespace

bool EverSeen(const WhyParts& parts, const Subject& subject) {
  const SubjectReport report = parts.limiter->Report(subject);
  if (!report.counts.nothing() || !report.left_out.empty() || !report.counts_by_node.empty() ||
      report.cleared_at != absl::InfinitePast() || !parts.cases->EventsOf(subject, 1).empty()) {
    return true;
  }
  LedgerQuery query;
  query.subject = subject.ToString();
  query.limit = 1;
  absl::StatusOr<LedgerPage> page = parts.search(query);
  return page.ok() && !page->rows.empty();
}

std::vector<std::string> NearSubjects(const WhyParts& parts, const Subject& subject) {
  std::set<std::pair<size_t, std::string>> near;
  auto consider = [&](const Subject& other) {
    if (other == subject) return;
    const std::optional<size_t> farness = Farness(subject, other);
    if (!farness.has_value()) return;
    near.emplace(*farness, other.ToString());
    if (near.size() > kMaxNear) near.erase(std::prev(near.end()));
  };
  for (const SubjectCounts& one : parts.limiter->Top(0)) consider(one.subject);
  for (const Case& record : parts.cases->Open()) consider(record.subject);
  for (const Case& record : parts.cases->Closed(CaseTable::kMaxHistory)) consider(record.subject);
  std::vector<std::string> names;
  for (const auto& [farness, name] : near) names.push_back(name);
  return names;
}

}  // namespace deferd
