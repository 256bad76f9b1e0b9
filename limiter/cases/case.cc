#include "limiter/cases/case.h"

namespace deferd {

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

}  // namespace deferd
