// The ledger's rows on disk, and what happens to the old ones.
//
// Rows go into segments, of which the newest is written; each has tables of its own (ledger_N and
// ledger_index_N), so a segment is dropped whole, without a search for its rows. Which segment
// comes when depends on the rows and the clock's times alone, not on how they were put into
// commits, and MemoryStore asks the same functions.

#ifndef DEFERD_LIMITER_STORE_LEDGER_SEGMENTS_H_
#define DEFERD_LIMITER_STORE_LEDGER_SEGMENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/store/ledger.h"
#include "limiter/store/local_store.h"
#include "limiter/store/sqlite.h"

namespace deferd {

// A row of ledger_segment.
struct LedgerSegment {
  int64_t number = 0;
  std::string node;
  absl::Time started;
  absl::Time newest = absl::InfinitePast();
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t first_row = 0;  // least and greatest row key
  int64_t last_row = 0;
};

// No further row may go into `segment`: it is full, or rows would else outlive the retention by
// more than an eighth because too few come to fill it.
bool IsFull(const LedgerSegment& segment, absl::Time now, const LedgerOptions& options);

// All of it is older than the retention.
bool IsExpired(const LedgerSegment& segment, absl::Time now, const LedgerOptions& options);

// The time of the first row, or InfinitePast if `segments` (oldest first) begin with the first one.
absl::Time OldestOf(const std::vector<LedgerSegment>& segments);

// What a row takes on disk, nearly.
int64_t LedgerBytes(const LedgerRow& row, size_t keys);

// Counts one more row in `segment`. A time after the clock's counts as the clock's, or a single
// wrong stamp would keep the segment for years.
void CountRow(int64_t row_key, int64_t bytes, absl::Time now, LedgerSegment* segment);

absl::StatusOr<std::vector<LedgerSegment>> ReadLedgerSegments(Database* db);  // oldest first

// The columns of ledger_N, in the order that ReadLedgerRow takes.
absl::string_view LedgerColumns();
absl::StatusOr<LedgerRow> ReadLedgerRow(const Statement& statement, const LedgerSegment& segment);

// Within a transaction: appends `rows`, then drops segments that are due. With options.enabled off
// the rows are ignored. Brings the figures of `stats` up to date, but for its bytes.
absl::Status WriteLedger(Database* db, absl::string_view node, const LedgerOptions& options,
                         const std::vector<LedgerRow>& rows, absl::Time now,
                         LocalStore::Stats* stats);

// As LocalStore::ForgetRows, with a transaction of its own. `stats` as in WriteLedger.
absl::StatusOr<ForgetStep> ForgetLedgerRows(Database* db, const ForgetFilter& filter,
                                            const ForgetPlace& from, int64_t most, bool only_count,
                                            LocalStore::Stats* stats);
absl::StatusOr<absl::Time> ReadForgottenUntil(Database* db);

// The key of recipients' hashes; "" if none was ever stored hashed.
absl::StatusOr<std::string> ReadRecipientKey(Database* db);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_LEDGER_SEGMENTS_H_
