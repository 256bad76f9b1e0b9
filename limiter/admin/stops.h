// All that stops or holds mail of one subject, in one account: what an MTA is told, by which cases,
// which of its logins are blocked by themselves, what is held and whether that waits for a person.
//
// `why` and `check` show this and nothing else, so they cannot disagree. Called on the admin door's
// thread.

#ifndef DEFERD_LIMITER_ADMIN_STOPS_H_
#define DEFERD_LIMITER_ADMIN_STOPS_H_

#include <functional>

#include "limiter/cases/gate.h"
#include "limiter/limiter.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

struct StopParts {
  const Limiter* limiter = nullptr;
  const Gate* gate = nullptr;   // null: what an MTA is told is not known
  std::function<Json()> queue;  // {"held": [...], "problem"} (QueueKeeper); empty: no helper
  // Whether Postfix is told to defer what it would hold, because its helper does not answer; empty:
  // no helper.
  std::function<bool()> postfix_defers;
};

// {"state": "ok", or that of a case that an MTA is told of; "answers": the verdict by source, and
//  "hold_limit_reached"; "stopped_by": the cases that decide, as in `blocks`; "parts": open cases
//  of logins, accounts and scripts inside the domain; "held": [{"subject", "messages", "overdue",
//  "blocked", "waits_for"}], "held_problem", "held_seen": false: no helper, so what is held is
//  not known; "postfix_defers"}
Json StopsJson(const StopParts& parts, const Subject& subject, const SubjectReport& report);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_STOPS_H_
