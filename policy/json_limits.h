// Checks that JSON text from outside is small enough to be parsed.
//
// A parser builds values before anybody can check them: deep nesting exhausts the stack when values
// are copied, and an object with very many keys takes quadratic time. Every decoder of bytes from
// another program calls this check first. The syntax is checked by the parser.
//
// A pure function, linear in the text, without allocation.

#ifndef DEFERD_POLICY_JSON_LIMITS_H_
#define DEFERD_POLICY_JSON_LIMITS_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace deferd {

struct JsonLimits {
  size_t max_bytes = 64 << 10;
  int max_depth = 8;          // nesting of objects and arrays
  size_t max_values = 4'096;  // elements of all arrays and members of all objects
};

// False if `text` exceeds one of the limits.
bool JsonWithinLimits(absl::string_view text, const JsonLimits& limits);

}  // namespace deferd

#endif  // DEFERD_POLICY_JSON_LIMITS_H_
