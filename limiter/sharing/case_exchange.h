// Cases shared with other nodes: which of this node's cases wait to be put, and which of theirs
// hold here.
//
// Every subject has one newest record, open or closed, with a revision. A record is put only after
// the local store has it. One of two records wins (cases/decision.h); if this node's wins, it is
// put again. A person's decision that was shared too late is kept beside the one that overrules it.
//
// All fields are guarded by the limiter's lock. This class only decides: it returns the
// consequences of another node's record as an Adoption, which NodeExchange applies. Order for a
// change made here: Stamp, then Saved when the commit has ended, then Take, then Put with the
// store's answer.

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

// A record of another node, or derived from one, that holds here too from now on.
struct Adoption {
  Case record;
  // The subject's attempts count from then on; InfinitePast: as before. `clear_shadow`: for rules
  // in shadow too, whatever the record.
  absl::Time clear_at = absl::InfinitePast();
  bool clear_shadow = false;
  std::string gives_way;  // the id of this node's own case, to be deleted; empty: none
  bool changes = true;    // false: nothing that pages show has changed
};

class CaseExchange {
 public:
  using Name = std::pair<Subject, bool>;  // shadow

  // All must outlive it.
  CaseExchange(const CaseTable* cases, const Clearings* clearings, Refused* refused)
      : cases_(cases), clearings_(clearings), refused_(refused) {}

  // The store's clock is now `offset` ahead of this one, because that was measured or because this
  // one was set. What the records' times are by the store's clock does not change.
  void SetOffset(absl::Duration offset);
  // This clock was set by so much before the first measurement.
  void ClockSet(absl::Duration by);
  // Gives a change that this node makes the next revision, before anybody sees it. `now`: the
  // clock.
  void Stamp(CaseChange change, absl::Time now, Case* record);
  // The commit of a stamped record has ended. If it failed the record is put all the same, so that
  // other nodes do not release the subject's mail meanwhile. True if it waits to be put.
  bool Saved(const Case& record);
  // `offset`: as offset() was when they were stored.
  void Restore(const std::vector<Case>& cases, std::optional<absl::Duration> offset);
  // Of the store's clock, that of before the start until it is measured; nullopt: never measured.
  std::optional<absl::Duration> offset() const { return offset_; }

  // The cases that wait to be put, as the store keeps them: with times moved by `offset`
  // (RowExchange). Cases closed before `too_old` are no longer put.
  std::vector<SharedCase> Take(absl::Duration offset, absl::Time too_old);
  // The store's answer to one that was put. `announce`: this node is the one to notify people.
  struct Answered {
    std::optional<Adoption> adopted;
    std::optional<Case> announce;
    bool waits = false;  // there is more to put
  };
  Answered Put(const SharedCase& sent, const CasePutAnswer& answer, absl::Duration offset,
               absl::Time now);
  // A case that another node put.
  std::optional<Adoption> Merge(const SharedCase& theirs, absl::Duration offset, absl::Time now,
                                absl::Time too_old);
  // `theirs` is everything that the store has: cases that it lacks are put again.
  void SetAll(const std::vector<SharedCase>& theirs);

  // Whether any case waits; whether one of the subject does.
  bool AnyWaits() const;
  bool Waits(const Subject& subject) const;
  size_t waiting() const;
  // The store is unreachable: the cases opened here that no node has announced yet, to be announced
  // by this node.
  std::vector<Case> TakeUnannounced();

  // Forgets cases closed before `too_old`, and marks them to be dropped from the store.
  void ForgetClosed(absl::Time too_old);
  std::vector<std::pair<Name, int64_t>> TakeDropped() { return std::exchange(dropped_, {}); }

 private:
  struct Known {
    Case record;
    // Its times, and the time of the decision, belong to `offset_`; false: to the next one.
    bool measured = false;
    bool decided_measured = false;
    bool unsaved = false;   // not in the local store yet, so not to be put yet
    bool waits = false;     // to be put
    bool person = false;    // a person's decision, which is put on top of any shared record
    bool announce = false;  // opened by this node and not announced yet
    int64_t seen = 0;       // the rev of the shared record known here; 0: none
  };

  void Refuse(const Subject& subject, absl::string_view why);
  Adoption Adopt(const Name& name, Case theirs);
  // This node's record, put on top of theirs.
  Adoption PutOnTop(Known* known, const Case& theirs);

  const CaseTable* const cases_;
  const Clearings* const clearings_;
  Refused* const refused_;
  std::optional<absl::Duration> offset_;
  bool measured_ = false;  // since the start
  absl::flat_hash_map<Name, Known> known_;
  std::vector<std::pair<Name, int64_t>> dropped_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_CASE_EXCHANGE_H_
