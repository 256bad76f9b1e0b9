#include "limiter/cases/case.h"

#include <utility>

namespace deferd {

namespace {

constexpr std::pair<Ending, absl::string_view> kClosers[] = {{Ending::kTime, "time"},
                                                             {Ending::kPolicy, "policy"},
                                                             {Ending::kIncident, "incident"},
                                                             {Ending::kEnforced, "rule"}};

}  // namespace

absl::string_view CaseStateName(CaseState state) {
  switch (state) {
    case CaseState::kBlocked:
      return "blocked";
    case CaseState::kProbation:
      return "probation";
    case CaseState::kClosed:
      return "closed";
  }
  return "unknown";
}

absl::string_view CaseChangeName(CaseChange change) {
  switch (change) {
    case CaseChange::kOpened:
      return "opened";
    case CaseChange::kExtended:
      return "extended";
    case CaseChange::kEnded:
      return "ended";
    case CaseChange::kBlockedByPerson:
      return "blocked";
    case CaseChange::kUnblocked:
      return "unblocked";
    case CaseChange::kAdopted:
      return "adopted";
  }
  return "unknown";
}

std::string CloserOf(const Case& record) {
  for (const auto& [ending, name] : kClosers) {
    if (record.ending == ending) return std::string(name);
  }
  return record.closed_by;
}

void SetCloser(absl::string_view closer, Case* record) {
  record->closed_by.clear();
  record->ending = Ending::kNone;
  if (closer.empty()) return;
  for (const auto& [ending, name] : kClosers) {
    if (closer != name) continue;
    record->ending = ending;
    return;
  }
  record->ending = Ending::kPerson;
  record->closed_by = std::string(closer);
}

}  // namespace deferd
