// The verb `forget`: removes what the ledger and the receipts hold of a subject or an address.
//
// A ledger of many gigabytes takes minutes, so a call works for about a second and says where to go
// on; deferctl calls until it is done. Counts and the records of cases stay: they protect the mail,
// hold no message, and end by themselves.

#ifndef DEFERD_LIMITER_ADMIN_FORGET_H_
#define DEFERD_LIMITER_ADMIN_FORGET_H_

#include <string>

#include "absl/status/statusor.h"
#include "limiter/cases/case_table.h"
#include "limiter/committer.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// `args`: {"what", "dry_run", "from": the "next" of the call before, or null}.
// Gives {"what", "dry_run", "done", "progress", "next", "attempts", "receipts",
// "receipt_attempts", "kept_cases"}; the numbers are of all calls. Asked by `person`. The journal
// records who asked and how much was removed, without the name.
absl::StatusOr<Json> ForgetSome(Committer* committer, const CaseTable& cases, const Json& args,
                                const std::string& person);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_FORGET_H_
