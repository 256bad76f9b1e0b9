#include "limiter/cases/decision.h"

namespace deferd {

Winner WhichWins(const Standing& mine, const Standing& theirs) {
  // Of a record that does not say, the revision alone tells whether it was made in knowledge of a
  // person's decision.
  if (mine.decided_at.has_value() && theirs.decided_at.has_value() &&
      *mine.decided_at != *theirs.decided_at) {
    return *mine.decided_at > *theirs.decided_at ? Winner::kMine : Winner::kTheirs;
  }
  if (mine.rev != theirs.rev) return mine.rev > theirs.rev ? Winner::kMine : Winner::kTheirs;
  if (mine.by_person != theirs.by_person) {
    return mine.by_person ? Winner::kMine : Winner::kTheirs;
  }
  return Winner::kNeither;
}

bool PersonDecided(const Case& record) {
  return record.state == CaseState::kClosed ? record.ending == Ending::kPerson : record.manual;
}

Standing StandingOf(const Case& record) {
  Standing standing = {record.rev, PersonDecided(record), record.decided_at};
  if (!standing.decided_at.has_value() && standing.by_person) {
    standing.decided_at = record.state == CaseState::kClosed ? record.closed_at : record.since;
  }
  return standing;
}

std::optional<PersonsWord> WordOf(const Case& record) {
  if (!PersonDecided(record)) return std::nullopt;
  if (record.state == CaseState::kClosed) {
    return PersonsWord{false, record.closed_by, record.closed_reason, record.closed_at};
  }
  return PersonsWord{true, record.by, record.reason, record.since};
}

int64_t NextRev(int64_t rev) { return rev + 1 < kMostRev ? rev + 1 : 1; }

}  // namespace deferd
