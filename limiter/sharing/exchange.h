// What the publisher and the case follower ask of the node that they share for.
//
// Rows and cases are handed out to be put, and come back with the store's answers. Safe from any
// thread; no call waits for a disk or a network.

#ifndef DEFERD_LIMITER_SHARING_EXCHANGE_H_
#define DEFERD_LIMITER_SHARING_EXCHANGE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/sharing/case_exchange.h"
#include "limiter/store/shared_store.h"
#include "policy/subject.h"

namespace deferd {

struct ExchangeStats {
  size_t waiting_subjects = 0;
  size_t waiting_cases = 0;
  int64_t unreadable_rows = 0;  // of other nodes, in a form that this deferd does not know
  int64_t unreadable_cases = 0;
  std::string refused_last;  // what the last of them was, for people
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  // `wake` is called, with a lock held, when something begins to wait; be quick.
  virtual void SetWake(std::function<void()> wake) = 0;
  // The store's clock minus this one.
  virtual void SetClockOffset(absl::Duration offset) = 0;

  // Everything live waits: the store may have lost it.
  virtual void ShareAll() = 0;
  // Subjects whose case ends within `soon` wait, so that it is judged by all nodes' newest rows.
  virtual void ShareCasesDue(absl::Duration soon) = 0;
  // Rows of at most `most` subjects that wait, as they are now. Each must come back, with the
  // answers or to wait again.
  virtual std::vector<RowPut> TakeRowsToPut(size_t most) = 0;
  virtual void RowsNotPut(absl::Span<const RowPut> puts) = 0;
  // All nodes' rows of the keys put. Judges again what became worse. True if a case was opened.
  virtual bool RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers) = 0;
  // The same of keys that were only read: nothing is judged.
  virtual void RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) = 0;
  // The keys of a subject's rows.
  virtual std::vector<RowKey> RowKeysOf(const Subject& subject) const = 0;
  // Keys with more rows than there can be nodes: whoever calls this takes out those of strangers.
  virtual std::vector<RowKey> TakeCrowdedRows() = 0;

  // Cases that wait to be put, as the store keeps them.
  virtual std::vector<SharedCase> TakeCasesToPut() = 0;
  // What became of one. True if it changed anything here.
  virtual bool CasePut(const SharedCase& sent, const CasePutAnswer& answer) = 0;
  // Cases that other nodes put; `all`: everything that the store has, so what it lacks, or has in
  // an older form, is put again.
  virtual void MergeCases(const std::vector<SharedCase>& theirs, bool all) = 0;
  // Whether a case of the subject waits to be put.
  virtual bool CaseWaits(const Subject& subject) const = 0;
  // Whether the cases that others put are wanted now: a domain is about to be judged by the rows of
  // all nodes, and a case of a part of it goes before. Once; hand them to MergeCases.
  virtual bool TakeWantsCases() = 0;
  // Cases long over, once each, to be dropped from the store.
  virtual std::vector<std::pair<CaseExchange::Name, int64_t>> TakeCasesToDrop() = 0;

  // The store is away: people are told of the cases opened here that could not be shared, since
  // nobody else may have them, and what waited to be judged by newer rows is judged by those known.
  virtual void OnStoreUnreachable() = 0;

  // Stores what has changed, so that others are told of it. The committer's status says how it
  // went.
  virtual void CommitNow() = 0;

  virtual ExchangeStats stats() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_EXCHANGE_H_
