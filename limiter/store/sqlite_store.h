// The local store in one SQLite database.
//
// Everything is in one file (beside it SQLite keeps PATH-wal and PATH-shm), so that a commit is one
// transaction. Its columns can be read with the sqlite3 program while deferd runs. After an error
// nothing of the batch is stored, and the same store takes the next one as soon as there is room
// again.

#ifndef DEFERD_LIMITER_STORE_SQLITE_STORE_H_
#define DEFERD_LIMITER_STORE_SQLITE_STORE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/local_store.h"

namespace deferd {

// Opens the file, or makes it, mode 0640. `node` becomes the node of ledger rows.
// Checks the tables that each start loads; the ledger's are checked by CheckSqliteStore.
// FailedPrecondition: a newer deferd's, another program's, or not writable. DataLoss: damaged.
// Unavailable: another process holds it, or the disk fails. All say what to do.
absl::StatusOr<std::unique_ptr<LocalStore>> OpenSqliteStore(const std::string& path,
                                                            absl::string_view node,
                                                            const LedgerOptions& options);

// Reads the whole file: DataLoss if any of it is damaged, which opening it need not notice. Takes
// seconds a gigabyte.
absl::Status CheckSqliteStore(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_SQLITE_STORE_H_
