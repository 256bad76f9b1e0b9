// Which attempts somebody wants forgotten: those of a subject, or all that name an address.
//
//   bob@example.com        wherever it stands: sender, login, recipient, before an alias, in a
//                          remote answer, in a Subject: line
//   example.com            what was charged to the domain or to a part of it, or sent as it
//   login:bob@example.com  what was charged to the subject; of a login, also what it sent
//
// A pure value.

#ifndef DEFERD_LIMITER_STORE_FORGET_FILTER_H_
#define DEFERD_LIMITER_STORE_FORGET_FILTER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "limiter/store/ledger.h"

namespace deferd {

// `text` names `name` (in lower case) as a whole: "bob@example.com" is not in
// "jbob@example.com" or "bob@example.com.au", but in "<Bob@Example.com>".
bool NamesWhole(absl::string_view text, absl::string_view name);

// A bare address is no subject; everything else is what Subject::Parse takes.
bool IsBareAddress(absl::string_view what);

class ForgetFilter {
 public:
  // `what` as above, subjects as Subject::ToString gives them. `hashed`: the address as the ledger
  // has it where it hides recipients, or "".
  ForgetFilter(absl::string_view what, absl::string_view hashed);

  bool Matches(const LedgerRow& row) const;

 private:
  bool MatchesAddress(const LedgerRow& row) const;
  bool MatchesSubject(const LedgerRow& row) const;

  std::string what_;  // in lower case
  std::string hashed_;
  bool address_ = false;
  std::string login_;  // of a login's subject
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_FORGET_FILTER_H_
