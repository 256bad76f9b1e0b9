// Cases shared with other nodes: which of this node's wait to be put, and what becomes of theirs.
//
// Every subject has one newest record, open or closed, with a revision. Only what is stored at home
// is put; of two records one wins (cases/decision.h), and the other node is told what this one
// knows better. A person's word that could not be shared in time is kept beside the one that
// overrules it.
//
// Owned by the limiter and under its lock. It decides; what follows from another node's record is
// told as an Adoption, and done by the limiter.

#ifndef DEFERD_LIMITER_SHARING_CASE_EXCHANGE_H_
#define DEFERD_LIMITER_SHARING_CASE_EXCHANGE_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/counting/clearings.h"
#include "limiter/sharing/row_exchange.h"
#include "limiter/store/shared_store.h"
#include "policy/subject.h"

namespace deferd {

// A record of another node, or made of one, that holds here too from now on.
struct Adoption {
  Case record;
  // The subject's attempts count from then on; InfinitePast: as before. `clear_shadow`: for rules
  // in shadow too, whatever the record.
  absl::Time clear_at = absl::InfinitePast();
  bool clear_shadow = false;
  std::string gives_way;  // the id of this node's own case, as if it had never been; empty: none
  bool changes = true;    // false: it says nothing new to people
};

class CaseExchange {
 public:
  using Name = std::pair<Subject, bool>;  // shadow

  // All must outlive it.
  CaseExchange(const CaseTable* cases, const Clearings* clearings, Refused* refused)
      : cases_(cases), clearings_(clearings), refused_(refused) {}

  // A change that this node makes gets the next revision, before anybody sees it. `now`: the clock.
  void Stamp(CaseChange change, absl::Time now, Case* record);
  // The record as stamped is stored at home, or could not be: then it is put all the same, since
  // others should not let its subject's mail out meanwhile. True if it waits to be put.
  bool Saved(const Case& record);
  void Restore(const std::vector<Case>& cases);

  // Those that wait to be put, as the store keeps them: with times moved by `offset` (RowExchange).
  // What was closed before `too_old` is not put any more.
  std::vector<SharedCase> Take(absl::Duration offset, absl::Time too_old);
  // What became of one that was put. `announce`: this node is the one that tells people of it.
  struct Answered {
    std::optional<Adoption> adopted;
    std::optional<Case> announce;
    bool waits = false;  // there is more to put
  };
  Answered Put(const SharedCase& sent, const CasePutAnswer& answer, absl::Duration offset,
               absl::Time now);
  // One that another node put.
  std::optional<Adoption> Merge(const SharedCase& theirs, absl::Duration offset, absl::Time now,
                                absl::Time too_old);
  // These are all that the store has: what it lacks is put again.
  void SetAll(const std::vector<SharedCase>& theirs);

  // Whether any case waits; whether one of the subject does.
  bool AnyWaits() const;
  bool Waits(const Subject& subject) const;
  size_t waiting() const;
  // The store is away: people are told now of the cases opened here.
  std::vector<Case> TakeUnannounced();

  // Forgets what was closed before `too_old`; it is to be dropped from the store too.
  void ForgetClosed(absl::Time too_old);
  std::vector<std::pair<Name, int64_t>> TakeDropped() { return std::exchange(dropped_, {}); }

 private:
  struct Known {
    Case record;
    bool unsaved = false;   // not in the local store yet: not to be put before it is
    bool waits = false;     // to be put
    bool person = false;    // by a person's decision, which is put on top of whatever is there
    bool announce = false;  // this node's opening, of which people are not told yet
    int64_t seen = 0;       // the rev of the shared record that is known here; 0: none
  };

  void Refuse(const Subject& subject, absl::string_view why);
  Adoption Adopt(const Name& name, Case theirs);
  // This node's record, put on top of theirs.
  Adoption PutOnTop(Known* known, const Case& theirs);

  const CaseTable* const cases_;
  const Clearings* const clearings_;
  Refused* const refused_;
  absl::flat_hash_map<Name, Known> known_;
  std::vector<std::pair<Name, int64_t>> dropped_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_CASE_EXCHANGE_H_
