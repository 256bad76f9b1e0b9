// The local store in memory: for tests, and the oracle of the other one. Plain containers; a search
// looks at every row. Nothing survives it.

#ifndef DEFERD_TESTS_LIMITER_STORE_MEMORY_STORE_H_
#define DEFERD_TESTS_LIMITER_STORE_MEMORY_STORE_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "limiter/store/local_store.h"

namespace deferd {

std::unique_ptr<LocalStore> NewMemoryStore(absl::string_view node, const LedgerOptions& options);

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_MEMORY_STORE_H_
