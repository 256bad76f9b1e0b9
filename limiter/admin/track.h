// Track delivery: what became of messages, out of the ledger.
//
// The fields of a row are named as in the system that people know (`type`, `msgid`, `message`,
// `senderauth`, `deliveredto` ...) besides deferd's own where they mean the same.
//
// Arguments (all optional texts, any of them may be combined): `what` (a domain, an address of
// either side, a message id, or a subject such as login:bob@example.com), `subject` (only what is
// charged to it; not together with `what`), `domain`, `sender`,
// `recipient` (the final address or the one before aliases), `id`, `host`, `outcome` (a list:
// "failed", "bad", ...), `to_domain` (of the recipient), `address` (a part of either side's),
// `code` ("550", "5.7.1", "5.7"), `class`, `mail_subject` (a part of it), `since` and `until` ("2h"
// ago, or a time), `limit`, `before` (the `row` of the last one seen, for the page after it), and
// `recipients` (true: one row for each recipient, with what became of it until now, in place of one
// for each attempt; `next` of the last is for `before`). The answer is a list, newest first; of one
// message, its life from the beginning, with `decisive` and an explanation at the line that says
// what became of each recipient.

#ifndef DEFERD_LIMITER_ADMIN_TRACK_H_
#define DEFERD_LIMITER_ADMIN_TRACK_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/ledger.h"
#include "policy/attempt.h"

namespace deferd {

using LedgerSearch = std::function<absl::StatusOr<LedgerPage>(const LedgerQuery&)>;

absl::StatusOr<Json> Track(const LedgerSearch& search, const Json& args, absl::Time now);

// `row` is a text: it has more digits than JavaScript's numbers hold.
Json LedgerRowJson(const LedgerRow& row);

// What a page calls it: "delivered", "in progress", "refused by us", ...
absl::string_view StateOf(const LedgerRow& row);

// Which rows are asked for, by words separated by commas: an outcome, "bad" (deferred and failed),
// "all", or as people say it "success", "defer", "failure".
struct OutcomeFilter {
  std::vector<Outcome> outcomes;  // empty: all
  bool in_progress = false;       // "in-progress": queued, and no attempt is known yet
  bool blocked = false;           // "blocked": stopped on our side, by deferd or the MTA
};
absl::StatusOr<OutcomeFilter> ParseOutcomes(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_TRACK_H_
