// Checksums of the rows that each start loads, so that a flipped bit is found which leaves the
// file's structure whole.
//
// Each of these tables ends in the column `crc`: CRC-32 of the table's name and the row's values,
// with their types. The SQL function deferd_crc makes it, within the statement that stores the row,
// and again in the check at the start. Rows of older formats get theirs when the format is brought
// up. The ledger has none: it decides nothing.

#ifndef DEFERD_LIMITER_STORE_CHECKSUMS_H_
#define DEFERD_LIMITER_STORE_CHECKSUMS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/store/sqlite.h"

namespace deferd {

// Each connection that stores or checks such rows needs the function.
absl::Status DefineChecksum(Database* db);

// "VALUES (?1, ..., ?N, deferd_crc('TABLE', ?1, ..., ?N))".
std::string CheckedValues(absl::string_view table, int columns);

// SQL that gives all tables the column, and all rows their checksums.
std::string AddChecksums();

// SQLite's own check of these tables, and the checksums. DataLoss: names the tables and rows that
// are damaged.
absl::Status CheckStateTables(Database* db);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_CHECKSUMS_H_
