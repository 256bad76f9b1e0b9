// The index of one ledger segment: which rows hold a key.
//
// It is written the way logs are, at its end alone, since a tree over random keys would touch every
// one of its pages with each commit. A commit adds one run: its postings (key, row), sorted, in
// buckets by the key's high bits, a bucket being one blob of ledger_index_N. A look-up reads one
// bucket of each run. Small runs are merged, sixteen of a level at a time, until one has
// kWholeRun rows; so a row is rewritten a few times at most, and a segment of a million rows has
// some sixty runs.
//
//   bucket  = posting*, sorted
//   posting = key u32, row i64 (little endian)
//   id      = run number << 24 | bucket number

#ifndef DEFERD_LIMITER_STORE_LEDGER_INDEX_H_
#define DEFERD_LIMITER_STORE_LEDGER_INDEX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/store/ledger_filter.h"
#include "limiter/store/sqlite.h"

namespace deferd {

struct Posting {
  uint32_t key = 0;
  int64_t row = 0;

  friend bool operator<(const Posting& a, const Posting& b) {
    return a.key != b.key ? a.key < b.key : a.row < b.row;
  }
};

// A row of ledger_run.
struct LedgerRun {
  int64_t segment = 0;
  int64_t number = 0;
  int64_t level = 0;
  int64_t rows = 0;
  int64_t buckets = 0;
  int64_t first_row = 0;
  int64_t last_row = 0;
};

// All runs of `segment`, by number.
absl::StatusOr<std::vector<LedgerRun>> ReadLedgerRuns(Database* db, int64_t segment);

// The SQL that makes the index's table.
std::string LedgerIndexTable(int64_t segment);

// Within a transaction: adds the postings of `rows` rows, in any order (they are sorted here), and
// merges what is due. The row keys lie within first_row and last_row.
absl::Status AddLedgerRun(Database* db, int64_t segment, int64_t rows, int64_t first_row,
                          int64_t last_row, std::vector<Posting>* postings);

// Looks keys up in the runs of one segment; for one search.
class LedgerIndexReader {
 public:
  static absl::StatusOr<LedgerIndexReader> Open(Database* db, int64_t segment);

  // The rows of `run` that hold, of each element of `keys`, at least one key; sorted, none twice.
  absl::StatusOr<std::vector<int64_t>> Find(const LedgerRun& run,
                                            const std::vector<LedgerKeys>& keys);

 private:
  // Appends the rows of one key.
  absl::Status FindOne(const LedgerRun& run, uint32_t key, std::vector<int64_t>* rows);

  Statement bucket_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_LEDGER_INDEX_H_
