// What the ledger says of one subject: who caused its bad deliveries, what servers answered, and
// what is left out of its counts, with the reason.
//
// Only as far as the ledger is kept, and of this node; an error of the search is part of the
// answer. What counted when it was written and was taken out afterwards, by an incident, is told as
// left out. Called on the admin door's thread.

#ifndef DEFERD_LIMITER_ADMIN_CAUSES_H_
#define DEFERD_LIMITER_ADMIN_CAUSES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/admin/track.h"
#include "limiter/judging/incidents.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/ledger.h"
#include "policy/subject.h"

namespace deferd {

// Logins and the like inside a domain that are, or were, blocked by themselves, by name: up to that
// time their attempts count for them alone.
using CountedApart = std::map<std::string, absl::Time>;

// The bad attempts from `since` to `until`: {"since", "until", "all", "who": [{"kind" (login, user
// or sender), "name", "delivered", "deferred", "failed", "bad", "left_out"}], "senders", "logins",
// "users", "claimed", "mail_subjects": [{"name", "bad"}], "answers": every class that occurs,
// "recipients", "destinations": how many different ones, "attempts"}, or {"problem"}. `once`: each
// message and recipient with its newest attempt, which may be a delivery.
Json CausesJson(const LedgerSearch& search, const Subject& subject,
                const std::vector<Incident>& incidents, const CountedApart& apart, absl::Time since,
                absl::Time until, bool once);

// The verdict on them: {"trouble", "culprit", "fault", "remedies": [...], "patience"} (fault.h).
// Null if the ledger could not tell. `refused_here`: recipients refused at RCPT time in the window.
Json FaultJson(const Json& causes, const Subject& subject, const std::vector<Incident>& incidents,
               int64_t refused_here);

// What does not count: {"all", "reasons": [{"reason", "meaning", "delivered", "deferred", "failed",
// "classes"}]}, or {"problem"}. `once`: each message and recipient with its newest attempt.
Json LeftOutJson(const LedgerSearch& search, const Subject& subject,
                 const std::vector<Incident>& incidents, const CountedApart& apart,
                 absl::Time since, absl::Time until, bool once);

// Why the row does not count as things stand now; kCounts if it does.
LeftOut LeftOutNow(const LedgerRow& row, const std::vector<Incident>& incidents);

// "delivered on this host ([charge] local = true counts it)": for people.
absl::string_view LeftOutMeaning(LeftOut reason);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_CAUSES_H_
