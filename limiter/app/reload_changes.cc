#include "limiter/app/reload_changes.h"

#include <optional>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr size_t kNamed = 5;

}  // namespace

std::vector<std::string> PolicyChanges(const Policy& before, const Policy& now) {
  std::vector<std::string> changes;
  if (before.hash == now.hash) return changes;
  changes.push_back(absl::StrCat("policy ", now.hash, ", was ", before.hash));
  if (before.mode != now.mode) {
    changes.push_back(absl::StrCat("mode ", ModeName(now.mode), ", was ", ModeName(before.mode)));
  }
  for (const Rule& rule : now.rules) {
    const Rule* const was = before.FindRule(rule.name);
    if (was == nullptr) {
      changes.push_back(absl::StrCat("rule ", rule.name, " is new"));
    } else if (!SameRule(*was, rule)) {
      changes.push_back(absl::StrCat("rule ", rule.name, " has changed"));
    }
  }
  for (const Rule& rule : before.rules) {
    if (now.FindRule(rule.name) == nullptr) {
      changes.push_back(absl::StrCat("rule ", rule.name, " was removed"));
    }
  }
  return changes;
}

std::vector<std::string> EndedByPolicy(const std::vector<Case>& open_before,
                                       const CaseTable& cases) {
  std::vector<std::string> changes;
  for (bool shadow : {false, true}) {
    std::string names;
    size_t ended = 0;
    for (const Case& record : open_before) {
      if (record.shadow != shadow) continue;
      const std::optional<Case> now = cases.FindOpen(record.subject, shadow);
      if (now.has_value() && now->id == record.id) continue;
      if (++ended > kNamed) continue;
      absl::StrAppend(&names, names.empty() ? "" : ", ", record.subject.ToString());
    }
    if (ended == 0) continue;
    if (ended > kNamed) absl::StrAppend(&names, " and ", ended - kNamed, " more");
    changes.push_back(absl::StrCat(ended, ended == 1 ? " block" : " blocks",
                                   shadow ? " in shadow" : "", " ended: ", names));
  }
  return changes;
}

}  // namespace deferd
