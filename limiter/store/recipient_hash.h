// Recipients that the ledger may find again but not tell: the local part becomes a keyed hash.
//
// "Bob@Far.Example" is stored as "h:0123456789abcdef@Far.Example": the first 16 hex digits of the
// HMAC-SHA-256 of the whole address in lower case, so one local part looks different in each
// domain. Who has the key can test a guess; it stays in the database. Immutable.

#ifndef DEFERD_LIMITER_STORE_RECIPIENT_HASH_H_
#define DEFERD_LIMITER_STORE_RECIPIENT_HASH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/ledger.h"

namespace deferd {

class RecipientHash {
 public:
  static absl::StatusOr<std::string> NewKey();  // 32 random bytes

  explicit RecipientHash(absl::string_view key) : key_(key) {}

  // One that is hashed already stays as it is.
  std::string Hashed(absl::string_view recipient) const;

  // Hashes the row's recipient, also where its reply names it.
  void HideIn(LedgerRow* row) const;

 private:
  std::string key_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_RECIPIENT_HASH_H_
