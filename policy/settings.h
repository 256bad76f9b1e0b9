// The operator's settings. A plain, immutable value that is replaced as a whole.

#ifndef DEFERD_POLICY_SETTINGS_H_
#define DEFERD_POLICY_SETTINGS_H_

#include <memory>

#include "policy/charge.h"
#include "policy/policy.h"

namespace deferd {

struct Settings {
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<const ChargeLists> lists;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_SETTINGS_H_
