// A message in the MTA's queue according to the log; later lines with the same id are joined with
// it. A plain value.

#ifndef DEFERD_POLICY_OPEN_MESSAGE_H_
#define DEFERD_POLICY_OPEN_MESSAGE_H_

#include <string>
#include <vector>

#include "policy/attempt.h"
#include "policy/identity.h"

namespace deferd {

struct OpenMessage {
  MessageKey key;  // includes its arrival
  Identity identity;
  std::vector<std::string> deferred;  // recipients not delivered yet, if needed

  friend bool operator==(const OpenMessage&, const OpenMessage&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_OPEN_MESSAGE_H_
