// A receipt: the evidence in a case, with which anybody can come to its verdict again.
//
// It holds what was judged (the rule, the counts, from when to when) and what the bad ones rest on:
// rows of the ledger, the newest ones whole, all of them by number and digest. It is gathered from
// the ledger after the case has opened, by counting again, and `deferctl why --verify` later counts
// once more: a row or rule that was changed, taken away or added in between is found. Plain values
// and functions of a ledger reader.

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

  // What it rests on.
  int64_t tripping_row = 0;  // of the ledger
  bool complete = false;     // all of it was in the ledger, and no more than can be read at once
  Counts recounted;          // out of the ledger
  int64_t total = 0;         // bad contributions found there
  std::string digest;        // of all of them: SHA-256, hex
  // The rule trips on those of them alone whose answers surely count (Policy::SurelyCounts).
  bool sure = false;
  std::vector<LedgerRow> rows;  // the newest of them, newest first, at most kMaxRows

  std::vector<LedgerRow> others;  // of the other nodes' parts, where nodes share; not stored here
};

// Of the case whose tripping attempt is the ledger's row `tripping_row`. `policy` reads the
// answers.
absl::StatusOr<Receipt> GatherReceipt(const Case& record, int64_t tripping_row,
                                      const Policy& policy, LedgerReader* ledger);

enum class Finding : uint8_t {
  kConfirmed,     // the ledger and the rule lead to the same verdict
  kIncomplete,    // nothing contradicts it, but not all of the evidence is there any more
  kContradicted,  // something was changed, taken away or added
};
absl::string_view FindingName(Finding finding);

struct Verification {
  Finding finding = Finding::kConfirmed;
  std::vector<std::string> remarks;  // what was found, a sentence each
  Counts recounted;
};

// Comes to the verdict again. `policy` is the one in force now. Errors are the ledger's.
absl::StatusOr<Verification> VerifyReceipt(const Case& record, const Receipt& receipt,
                                           const Policy& policy, LedgerReader* ledger);

}  // namespace deferd

#endif  // DEFERD_LIMITER_EVIDENCE_RECEIPT_H_
