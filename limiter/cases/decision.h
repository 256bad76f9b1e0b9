// Which of two records of one subject holds, where nodes that share did not see each other's.
//
// A record carries when a person last decided about its subject, also through what rules and time
// do to it afterwards. Of two people the later one holds, whichever of their nodes was cut off and
// however many changes each has made since; the earlier word is kept beside it, for people to see.
// Where no person's word differs, the higher revision holds.
//
// Pure functions on values; all times are by one clock, the shared store's.

#ifndef DEFERD_LIMITER_CASES_DECISION_H_
#define DEFERD_LIMITER_CASES_DECISION_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "limiter/cases/case.h"

namespace deferd {

// What of a record matters for that.
struct Standing {
  int64_t rev = 0;
  bool by_person = false;  // the record is a person's decision as it stands
  // When a person last decided; InfinitePast: nobody ever did. nullopt: a record of a deferd that
  // does not say, made by a rule or by time.
  std::optional<absl::Time> decided_at = absl::InfinitePast();
};

enum class Winner { kMine, kTheirs, kNeither };
Winner WhichWins(const Standing& mine, const Standing& theirs);

// A person's word, which a rule's of the same revision does not undo.
bool PersonDecided(const Case& record);
Standing StandingOf(const Case& record);
// What a person decided in `record`; nullopt if that was no person.
std::optional<PersonsWord> WordOf(const Case& record);

// The revision after `rev`. Near the greatest possible one, which only a damaged or forged record
// reaches, it begins anew: a person's later word wins all the same.
int64_t NextRev(int64_t rev);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_DECISION_H_
