// Track delivery: what became of messages, out of the ledger.
//
// Arguments (all optional texts, any of them may be combined): `what` (a domain, an address of
// either side, a message id, or a subject such as login:bob@example.com), `domain`, `sender`,
// `recipient`, `id`, `host`, `outcome` (a list: "failed", "bad", ...), `since` and `until` ("2h"
// ago, or a time), `limit`, `before` (the `row` of the last one seen, for the page after it). The
// answer is a list, newest first; of one message, its life from the beginning.

#ifndef DEFERD_LIMITER_ADMIN_TRACK_H_
#define DEFERD_LIMITER_ADMIN_TRACK_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/admin/json.h"
#include "limiter/store/ledger.h"
#include "policy/attempt.h"

namespace deferd {

using LedgerSearch = std::function<absl::StatusOr<LedgerPage>(const LedgerQuery&)>;

absl::StatusOr<Json> Track(const LedgerSearch& search, const Json& args, absl::Time now);

// `row` is a text: it has more digits than JavaScript's numbers hold.
Json LedgerRowJson(const LedgerRow& row);

// "2h" (before `now`), RFC 3339, "2026-11-22 10:00[:00]" or "2026-11-22", in UTC.
absl::StatusOr<absl::Time> ParseWhen(absl::string_view text, absl::Time now);

// Words, separated by commas: an outcome, "bad" (deferred and failed) or "all".
absl::StatusOr<std::vector<Outcome>> ParseOutcomes(absl::string_view text);

// At 80 columns.
std::string TrackPage(const Json& rows);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_TRACK_H_
