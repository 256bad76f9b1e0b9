// One message in an MTA's queue, as the MTA lists it, with what deferd knows of who sent it. A
// plain value.

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
  bool held = false;    // set aside: Exim's named queue of deferd, Postfix's hold queue
  bool ours = false;    // held, and in a queue that nobody but deferd uses
  bool frozen = false;  // by Exim itself
  int64_t size = 0;     // bytes
  std::string sender;   // envelope; empty is the null sender
  std::vector<std::string> recipients;  // that still wait
  std::string problem;                  // why it waits, where the MTA says so
  std::string helper;                   // the socket of the root helper that listed it

  // What the log told; nobody is charged where it told nothing.
  absl::Time arrival = absl::InfinitePast();
  Identity identity;
  ChargedSubjects charged;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_QUEUED_MAIL_H_
