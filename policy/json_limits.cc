#include "policy/json_limits.h"

namespace deferd {

bool JsonWithinLimits(absl::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) return false;
  int depth = 0;
  size_t values = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        break;
      case '{':
      case '[':
        // Its first element has no comma before it.
        if (++depth > limits.max_depth || ++values > limits.max_values) return false;
        break;
      case '}':
      case ']':
        --depth;
        break;
      case ',':
        if (++values > limits.max_values) return false;
        break;
      default:
        break;
    }
  }
  return true;
}

}  // namespace deferd
