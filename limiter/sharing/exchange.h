// The node, as the publisher and the case follower see it.
//
// It hands out rows and cases to be put, and takes back the shared store's answers. Safe from any
// thread. No call waits for the network; CommitNow, and calls that change cases, may wait for a
// commit to the local disk.

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
  std::string refused_last;     // what the last of them was, for people
  int64_t lost_subjects = 0;    // whose rows the store had lost: they were put again
  absl::Duration clock_offset;  // the store's clock minus this one, as measured last
};

// The store's clock minus this one, from an answer that named its time.
struct ClockOffset {
  // `took`: the time from the question to the answer `store`; `now`: this clock at the answer.
  ClockOffset(absl::Duration took, absl::Time store, absl::Time now)
      : offset(store - (now - took / 2)), exact(took <= absl::Milliseconds(200)) {}

  absl::Duration offset;
  bool exact;  // false: it took too long
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  // `wake` is called, with the limiter's lock held, when something begins to wait; it must be quick
  // and must not call back.
  virtual void SetWake(std::function<void()> wake) = 0;
  // The store's clock minus this one. Before any case is put or merged, since their times are by
  // the store's clock. An inexact one is better than none, and is taken only then.
  virtual void SetClockOffset(const ClockOffset& measured) = 0;

  // Makes everything live wait to be put, since the store may have lost it.
  virtual void ShareAll() = 0;
  // Makes the subjects wait whose case ends within `soon`, so that the end is judged by all nodes'
  // newest rows.
  virtual void ShareCasesDue(absl::Duration soon) = 0;
  // Rows of at most `most` waiting subjects, as they are now. Each must come back, through RowsPut
  // or RowsNotPut.
  virtual std::vector<RowPut> TakeRowsToPut(size_t most) = 0;
  virtual void RowsNotPut(absl::Span<const RowPut> puts) = 0;
  // The answers have all nodes' rows of the keys put. Judges subjects whose counts became worse.
  // True if a case was opened.
  virtual bool RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers) = 0;
  // The same for keys that were only read: nothing is judged.
  virtual void RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) = 0;
  // The keys of a subject's rows.
  virtual std::vector<RowKey> RowKeysOf(const Subject& subject) const = 0;
  // The list of nodes at a heartbeat, and the store's time then.
  virtual void SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at) = 0;
  // Keys of this node's rows, some at each heartbeat, to be read; and the answers. Rows that are
  // gone wait to be put again.
  virtual std::vector<RowKey> TakeRowsToCheck() = 0;
  virtual void RowsChecked(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) = 0;
  // Keys with more rows than there can be nodes: the caller removes the rows of unknown nodes.
  virtual std::vector<RowKey> TakeCrowdedRows() = 0;

  // Cases that wait to be put, as the store keeps them. They wait until CasePut.
  virtual std::vector<SharedCase> TakeCasesToPut() = 0;
  // The store's answer to one. True if it changed anything here.
  virtual bool CasePut(const SharedCase& sent, const CasePutAnswer& answer) = 0;
  // Cases that other nodes put. `all`: `theirs` is everything that the store has, so cases that it
  // lacks, or has in an older revision, are put again.
  virtual void MergeCases(const std::vector<SharedCase>& theirs, bool all) = 0;
  // Whether a case of the subject waits to be put.
  virtual bool CaseWaits(const Subject& subject) const = 0;
  // Whether to read the other nodes' cases now, for MergeCases: a domain is about to be judged by
  // the rows of all nodes, and a case of a part of it has precedence. True once per request.
  virtual bool TakeWantsCases() = 0;
  // Cases long over, once each, to be dropped from the store.
  virtual std::vector<std::pair<CaseExchange::Name, int64_t>> TakeCasesToDrop() = 0;

  // The store is unreachable. Announces the cases opened here that could not be shared, since no
  // other node may have them, and judges subjects that waited for newer rows by the rows known.
  virtual void OnStoreUnreachable() = 0;

  // Commits the changes to the local store, so that they can be shared. The committer's status has
  // the result.
  virtual void CommitNow() = 0;

  virtual ExchangeStats stats() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_EXCHANGE_H_
