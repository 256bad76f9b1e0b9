// Looking rows up on disk, newest first.

#ifndef DEFERD_LIMITER_STORE_LEDGER_SEARCH_H_
#define DEFERD_LIMITER_STORE_LEDGER_SEARCH_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "limiter/store/ledger.h"
#include "limiter/store/local_store.h"
#include "limiter/store/sqlite.h"

namespace deferd {

// Within a transaction, so that all of it is of one moment. Ends with DeadlineExceeded when the
// database's deadline passes.
absl::StatusOr<LedgerPage> SearchLedger(Database* db, const LedgerQuery& query);

// Opens its connection with the first call; a call that fails gives it up, the next opens anew.
std::unique_ptr<LedgerReader> NewSqliteReader(const std::string& path,
                                              const LedgerOptions& options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_LEDGER_SEARCH_H_
