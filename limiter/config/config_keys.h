// Every key of deferd.toml with its text in the manual (policy/policy_keys.h). Constants; safe from
// any thread.

#ifndef DEFERD_LIMITER_CONFIG_CONFIG_KEYS_H_
#define DEFERD_LIMITER_CONFIG_CONFIG_KEYS_H_

#include "absl/types/span.h"
#include "policy/policy_keys.h"

namespace deferd {

// In the order of the reference.
absl::Span<const TomlKeyInfo> ConfigKeys();

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_CONFIG_KEYS_H_
