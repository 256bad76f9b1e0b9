// One message in an MTA's queue: the MTA's listing and what deferd knows of its sender. A plain
// value.

#ifndef DEFERD_LIMITER_LOCALRPC_QUEUED_MAIL_H_
#define DEFERD_LIMITER_LOCALRPC_QUEUED_MAIL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "policy/charge.h"
#include "policy/identity.h"

namespace deferd {

struct QueuedMail {
  std::string id;
  bool held = false;    // in deferd's named queue of Exim, or in Postfix's hold queue
  bool ours = false;    // held in a queue that only deferd uses
  bool frozen = false;  // frozen by Exim itself
  int64_t size = 0;     // bytes
  std::string sender;   // envelope; empty is the null sender
  std::vector<std::string> recipients;  // not delivered yet
  std::string problem;                  // why it waits, if the MTA reports it
  std::string helper;                   // the socket of the root helper that listed it

  // From the log; nobody is charged if the log has no information.
  absl::Time arrival = absl::InfinitePast();
  Identity identity;
  ChargedSubjects charged;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_QUEUED_MAIL_H_
