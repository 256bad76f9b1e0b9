// Whether JSON text from outside is small enough to be parsed.
//
// A parser builds values first and asks later: deep nesting exhausts the stack where values are
// copied, and an object with very many keys takes quadratic time. So every decoder of bytes that
// another program wrote looks at them here first. It checks no syntax; that is the parser's.
//
// A pure function, linear in the text, without allocation.

#ifndef DEFERD_POLICY_JSON_LIMITS_H_
#define DEFERD_POLICY_JSON_LIMITS_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace deferd {

struct JsonLimits {
  size_t max_bytes = 64 << 10;
  int max_depth = 8;          // objects and arrays within each other
  size_t max_values = 4'096;  // elements of all arrays and members of all objects
};

// False if `text` exceeds one of the limits.
bool JsonWithinLimits(absl::string_view text, const JsonLimits& limits);

}  // namespace deferd

#endif  // DEFERD_POLICY_JSON_LIMITS_H_
