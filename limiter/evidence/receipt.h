// A receipt: the evidence in a case, from which anybody can repeat the verdict.
//
// It has the judgement (the rule, the counts, the edges of the window) and the evidence for the bad
// deliveries: ledger rows, the newest ones in full, all of them by number and digest. It is
// gathered from the ledger after the case has opened, by counting again. `deferctl why --verify`
// counts once more and finds rows or rules that were changed, removed or added in between.
//
// Plain values and functions without state: safe from any thread, with a reader that is.

#ifndef DEFERD_LIMITER_EVIDENCE_RECEIPT_H_
#define DEFERD_LIMITER_EVIDENCE_RECEIPT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/store/local_store.h"
#include "policy/counts.h"
#include "policy/judgement.h"
#include "policy/policy.h"

namespace deferd {

// The judgement is the case's.
struct Receipt : Judgement {
  static constexpr size_t kMaxRows = 50;

  // The evidence.
  int64_t tripping_row = 0;  // of the ledger
  bool complete = false;     // all of it was in the ledger, and no more than can be read at once
  Counts recounted;          // out of the ledger
  int64_t total = 0;         // bad contributions found there
  std::string digest;        // of all of them: SHA-256, hex
  // The rule also trips if only replies count whose meaning is sure (Policy::SurelyCounts).
  bool sure = false;
  std::vector<LedgerRow> rows;  // the newest of them, newest first, at most kMaxRows

  std::vector<LedgerRow> others;  // of the other nodes' parts, where nodes share; not stored here
};

// Gathers the receipt of a case whose tripping attempt is the ledger's row `tripping_row`. `policy`
// classifies the replies.
absl::StatusOr<Receipt> GatherReceipt(const Case& record, int64_t tripping_row,
                                      const Policy& policy, LedgerReader* ledger);

enum class Finding : uint8_t {
  kConfirmed,     // the ledger and the rule lead to the same verdict
  kIncomplete,    // nothing contradicts it, but part of the evidence has been deleted
  kContradicted,  // something was changed, removed or added
};
absl::string_view FindingName(Finding finding);

struct Verification {
  Finding finding = Finding::kConfirmed;
  std::vector<std::string> remarks;  // what was found, a sentence each
  Counts recounted;
};

// Repeats the verdict. `policy` is the one in force now. Errors are the ledger's.
absl::StatusOr<Verification> VerifyReceipt(const Case& record, const Receipt& receipt,
                                           const Policy& policy, LedgerReader* ledger);

}  // namespace deferd

#endif  // DEFERD_LIMITER_EVIDENCE_RECEIPT_H_
