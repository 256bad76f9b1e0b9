// Decides which of two records of one subject wins, when two nodes changed it without seeing each
// other's change.
//
// A record carries the time of the last decision of a person about its subject, through later
// changes by rules and time too. The later of two people's decisions wins, whichever node was cut
// off and however many changes each node has made since. The earlier decision is kept beside it,
// and shown. If no person's decision differs, the higher revision wins.
//
// Pure functions on values; all times are by one clock, the shared store's.

#ifndef DEFERD_LIMITER_CASES_DECISION_H_
#define DEFERD_LIMITER_CASES_DECISION_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "limiter/cases/case.h"

namespace deferd {

// The fields of a record that decide.
struct Standing {
  int64_t rev = 0;
  bool by_person = false;  // the record is a person's decision as it stands
  // When a person last decided; InfinitePast: nobody ever did. nullopt: unknown, since an older
  // deferd made the record, by a rule or by time.
  std::optional<absl::Time> decided_at = absl::InfinitePast();
};

enum class Winner { kMine, kTheirs, kNeither };
Winner WhichWins(const Standing& mine, const Standing& theirs);

// A person's decision, which a rule's of the same revision does not undo.
bool PersonDecided(const Case& record);
Standing StandingOf(const Case& record);
// The person's decision in `record`; nullopt if a rule or time made it.
std::optional<PersonsWord> WordOf(const Case& record);

// The revision after `rev`. Near the greatest possible one, which only a damaged or forged record
// reaches, it starts again: a person's later decision wins all the same.
int64_t NextRev(int64_t rev);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_DECISION_H_
