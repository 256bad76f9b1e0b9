// What the ledger says of one subject: who caused its bad deliveries, what servers answered, and
// what is left out of its counts, with the reason.
//
// Each is an object that takes part in a pass through the rows and then tells what it saw. Only as
// far as the ledger is kept, and of this node; an error of the search is part of the answer. What
// counted when it was written and was taken out afterwards, by an incident, is told as left out.
// Used on the admin door's thread.

#ifndef DEFERD_LIMITER_ADMIN_CAUSES_H_
#define DEFERD_LIMITER_ADMIN_CAUSES_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/admin/row_pass.h"
#include "limiter/admin/track.h"
#include "limiter/judging/incidents.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/ledger.h"
#include "policy/subject.h"

namespace deferd {

// Logins and the like inside a domain that are, or were, blocked by themselves, by name: up to that
// time their attempts count for them alone.
using CountedApart = std::map<std::string, absl::Time>;

// What is asked of the rows. The incidents must outlive it.
struct RowsAsked {
  Subject subject;
  const std::vector<Incident>* incidents = nullptr;
  CountedApart apart;
  absl::Time since, until;
  bool once = false;  // each message and recipient with its newest attempt
};

// The bad attempts: {"since", "until", "all", "who": [{"kind" (login, user or sender), "name",
// "delivered", "deferred", "failed", "bad", "left_out"}], "senders", "logins", "users", "claimed",
// "mail_subjects": [{"name", "bad"}], "answers": every class that occurs, "recipients",
// "destinations": how many different ones, "attempts"}, or {"problem"}. With `once` the newest
// attempt may be a delivery.
class Causes {
 public:
  explicit Causes(RowsAsked asked);
  ~Causes();
  void JoinIn(RowPass* pass);
  // `passed`: how the pass ended. Searches once more, for the messages' arrivals.
  Json ToJson(const absl::Status& passed, const LedgerSearch& search) const;

 private:
  struct Tallies;
  LedgerQuery Query() const;
  void Look(const LedgerRow& row);

  const RowsAsked asked_;
  const std::unique_ptr<Tallies> tallies_;
  const bool* all_ = nullptr;
};

// The verdict on them: {"trouble", "culprit", "fault", "remedies": [...], "patience"} (fault.h).
// Null if the ledger could not tell. `refused_here`: recipients refused at RCPT time in the window.
Json FaultJson(const Json& causes, const Subject& subject, const std::vector<Incident>& incidents,
               int64_t refused_here);

// What does not count: {"all", "counted", "reasons": [{"reason", "meaning", "delivered",
// "deferred", "failed", "classes"}]}, or {"problem"}.
class NotCounted {
 public:
  explicit NotCounted(RowsAsked asked);
  ~NotCounted();
  void JoinIn(RowPass* pass);
  Json ToJson(const absl::Status& passed) const;

 private:
  struct Tallies;
  void Look(const LedgerRow& row);

  const RowsAsked asked_;
  const std::unique_ptr<Tallies> tallies_;
  const bool* all_ = nullptr;
};

// Why the row does not count as things stand now; kCounts if it does.
LeftOut LeftOutNow(const LedgerRow& row, const std::vector<Incident>& incidents);

// "delivered on this host ([charge] local = true counts it)": for people.
absl::string_view LeftOutMeaning(LeftOut reason);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_CAUSES_H_
