// Statistics out of the ledger: who sent how much, and what became of it.
//
// Messages, recipients and attempts are three different things, and are kept apart: a message to
// three people that one server defers twice is one message, three recipients and five attempts.
// Arguments: `subject` (only that one, by sender; without it all, by subject), `by` ("subject" or
// "sender"), `since` and `until` as for track (a day without them), `limit`.

#ifndef DEFERD_LIMITER_ADMIN_STATS_H_
#define DEFERD_LIMITER_ADMIN_STATS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/admin/track.h"
#include "limiter/cases/case_table.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// {since, until, all, rows}: `rows`, those with the most bad recipients first, are {subject or
// sender, messages, recipients {delivered, deferred, failed}, attempts {...}, blocked}. `all` is
// false where there was more than can be read at once (the newest was read).
absl::StatusOr<Json> Stats(const LedgerSearch& search, const CaseTable& cases, const Json& args,
                           absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_STATS_H_
