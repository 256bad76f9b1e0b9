// The limiter's side of sharing: hands out the rows and cases that other nodes are to get, and
// applies those that came from other nodes.
//
// Only what the local store has committed is handed out. Rows of TakeRowsToPut must come back
// through RowsPut or RowsNotPut; a case of TakeCasesToPut is handed out again until CasePut has it.
//
// Works on the limiter's parts. Each public method takes the limiter's lock. Safe from any thread.

#ifndef DEFERD_LIMITER_NODE_EXCHANGE_H_
#define DEFERD_LIMITER_NODE_EXCHANGE_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/case_handler.h"
#include "limiter/cases/case_table.h"
#include "limiter/events.h"
#include "limiter/parts.h"
#include "limiter/port/mutex.h"
#include "limiter/sharing/exchange.h"
#include "limiter/store/shared_store.h"
#include "policy/subject.h"

namespace deferd {

class NodeExchange {
 public:
  NodeExchange(Mutex* mutex, LimiterParts* parts, CaseHandler* cases)
      : mutex_(mutex), parts_(parts), cases_(cases) {}

  // See Exchange. What happened is added to `events`.
  void SetWake(std::function<void()> wake);
  void SetClockOffset(const ClockOffset& measured);
  void ShareAll();
  void ShareCasesDue(absl::Duration soon);
  std::vector<RowPut> TakeRowsToPut(size_t most);
  void RowsNotPut(absl::Span<const RowPut> puts);
  bool RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers, Events* events);
  void RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers);
  std::vector<RowKey> RowKeysOf(const Subject& subject) const;
  void SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at);
  std::vector<RowKey> TakeRowsToCheck();
  void RowsChecked(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers);
  std::vector<RowKey> TakeCrowdedRows();
  std::vector<SharedCase> TakeCasesToPut();
  bool CasePut(const SharedCase& sent, const CasePutAnswer& answer, Events* events);
  void MergeCases(const std::vector<SharedCase>& theirs, bool all, Events* events);
  bool CaseWaits(const Subject& subject) const;
  bool TakeWantsCases();
  std::vector<std::pair<CaseExchange::Name, int64_t>> TakeCasesToDrop();
  void OnStoreUnreachable(Events* events);
  ExchangeStats stats() const;

 private:
  bool JudgeAgain(const Subject& subject) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True: the record exempts somebody.
  bool Adopt(const Adoption& adoption) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex* const mutex_;
  LimiterParts* const parts_ ABSL_PT_GUARDED_BY(mutex_);
  CaseHandler* const cases_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_NODE_EXCHANGE_H_
