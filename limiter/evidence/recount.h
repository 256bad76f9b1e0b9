// Repeats a case's counts from the ledger.
//
// Counts as the limiter did, attempt by attempt in the order read (the rule of `once`: the outcome
// that a message and recipient has now, dated when it first got it). Each row records whether it
// counts, so anybody who has the ledger can check a case's counts. A function without state.

#ifndef DEFERD_LIMITER_EVIDENCE_RECOUNT_H_
#define DEFERD_LIMITER_EVIDENCE_RECOUNT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/cases/case.h"
#include "limiter/store/local_store.h"
#include "policy/counts.h"

namespace deferd {

struct Recount {
  static constexpr size_t kMaxRows = 20'000;     // of one subject and window
  static constexpr int kMaxOlderMessages = 200;  // that were in the queue before the window

  Counts counts;
  std::vector<LedgerRow> bad;  // the attempts that the bad contributions are dated at, newest first
  bool complete = true;
  std::string missing;  // why it is not complete
};

// Errors are the ledger's.

absl::StatusOr<Recount> CountAgain(const Case& record, int64_t tripping_row, LedgerReader* ledger);

}  // namespace deferd

#endif  // DEFERD_LIMITER_EVIDENCE_RECOUNT_H_
