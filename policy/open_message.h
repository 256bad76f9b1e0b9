// A message that is in the MTA's queue, as far as the log has told: what a later line of the same
// id is joined with. A plain value.

#ifndef DEFERD_POLICY_OPEN_MESSAGE_H_
#define DEFERD_POLICY_OPEN_MESSAGE_H_

#include <string>
#include <vector>

#include "policy/attempt.h"
#include "policy/identity.h"

namespace deferd {

struct OpenMessage {
  MessageKey key;  // with its arrival
  Identity identity;
  std::vector<std::string> deferred;  // recipients that were not delivered to yet, if it matters

  friend bool operator==(const OpenMessage&, const OpenMessage&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_OPEN_MESSAGE_H_
