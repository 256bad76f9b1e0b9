// The tables of the state database, and how it is opened.
//
// Only what is not the ledger's segments; those make their own (ledger_segments.h). Columns are
// readable with the sqlite3 program: times are Unix microseconds, NULL where a time is not known.

#ifndef DEFERD_LIMITER_STORE_SCHEMA_H_
#define DEFERD_LIMITER_STORE_SCHEMA_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/store/sqlite.h"

namespace deferd {

inline constexpr int64_t kStoreFormat = 5;  // PRAGMA user_version; +1 with every change of tables

inline constexpr int kBusyMillis = 2'000;  // a commit waits for another writer

// The connection that writes. Makes the file (mode 0640) and the tables where there are none.
// FailedPrecondition: of a newer format, another program's, or not writable. DataLoss: damaged.
absl::StatusOr<std::unique_ptr<Database>> OpenForWriting(const std::string& path);

// A connection for searches: never writes, never waits for long.
absl::StatusOr<std::unique_ptr<Database>> OpenForReading(const std::string& path);

// Infinite past is NULL.
std::optional<int64_t> ToColumn(absl::Time time);
absl::Time TimeColumn(const Statement& row, int column);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_SCHEMA_H_
