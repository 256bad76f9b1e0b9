// Rows of many domains, for tests of stores that spread them over servers.

#ifndef DEFERD_TESTS_LIMITER_STORE_MANY_ROWS_H_
#define DEFERD_TESTS_LIMITER_STORE_MANY_ROWS_H_

#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/store/shared_store.h"
#include "limiter/store/window_row.h"
#include "tests/status_matchers.h"

namespace deferd {

inline constexpr int kDomains = 30;

inline RowKey KeyOf(int i) {
  return {{SubjectKind::kDomain, absl::StrCat("domain-", i, ".example")}, absl::Hours(1)};
}

// One row each, in one call: i + 1 failures of the domain i.
inline std::vector<RowAnswer> PutAll(SharedStore* store, double version) {
  std::vector<RowPut> puts;
  for (int i = 0; i < kDomains; ++i) {
    WindowRow row;
    row.version = version;
    row.cells.push_back({.step = 100, .counts = {.failed = i + 1}});
    puts.push_back({KeyOf(i), version, EncodeWindowRow(row)});
  }
  absl::StatusOr<std::vector<RowAnswer>> answers = store->PutRows(puts);
  EXPECT_THAT(answers.status(), IsOk());
  return answers.ok() ? *answers : std::vector<RowAnswer>(kDomains);
}

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_MANY_ROWS_H_
