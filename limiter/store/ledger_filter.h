// What every store means by a row's time, its keys, and a row that a query matches.
//
// Pure functions and values. Keys are 32-bit hashes of (kind, lower-cased text): equal texts have
// equal keys, others now and then too, so a hit is checked against the row.

#ifndef DEFERD_LIMITER_STORE_LEDGER_FILTER_H_
#define DEFERD_LIMITER_STORE_LEDGER_FILTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/store/ledger.h"

namespace deferd {

// Of LedgerRowKey's keys. Times are kept within 1900 and 2099.
absl::Time TimeOfRowKey(int64_t row);
// The least key of a time at or after `time`.
int64_t FirstRowKey(absl::Time time);

// `time` to the millisecond; infinite ones stay.
absl::Time ToMillisecond(absl::Time time);

// The charged subject's domain, or else the sender's; lower case.
std::string LedgerDomain(absl::string_view subject, absl::string_view sender);

// What a reader says in every store.
absl::Status LedgerIsOff();
absl::Status NoReceipt(absl::string_view case_id);

using LedgerKeys = absl::InlinedVector<uint32_t, 12>;

// Under which keys a row is found.
void KeysOf(const LedgerRow& row, LedgerKeys* keys);

class LedgerFilter {
 public:
  // `hashed_recipient`: the query's recipient as rows have it that were stored hashed, or "".
  LedgerFilter(const LedgerQuery& query, absl::string_view hashed_recipient);

  // Every row that matches has, of each element, at least one key.
  const std::vector<LedgerKeys>& keys() const { return keys_; }
  // And its row key is from first_row() to below end_row().
  int64_t first_row() const { return first_row_; }
  int64_t end_row() const { return end_row_; }

  bool Matches(const LedgerRow& row) const;
  // False: no row with this outcome matches, whatever else is in it.
  bool MatchesOutcome(Outcome outcome) const;

 private:
  bool IsRecipient(absl::string_view recipient) const;
  bool IsAbout(const LedgerRow& row) const;
  // What no key is kept of.
  bool MatchesWithoutKeys(const LedgerRow& row) const;

  LedgerQuery query_;  // texts in lower case
  std::string hashed_recipient_;
  std::vector<LedgerKeys> keys_;
  int64_t first_row_;
  int64_t end_row_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_LEDGER_FILTER_H_
