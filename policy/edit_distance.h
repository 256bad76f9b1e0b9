// Similarity of two short words, for "did you mean".

#ifndef DEFERD_POLICY_EDIT_DISTANCE_H_
#define DEFERD_POLICY_EDIT_DISTANCE_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace deferd {

// Number of insertions, deletions, replacements and swapped neighbours that turn `a` into `b`.
// Pure. Takes a.size() * b.size() steps: limit the lengths first.
size_t EditDistance(absl::string_view a, absl::string_view b);

}  // namespace deferd

#endif  // DEFERD_POLICY_EDIT_DISTANCE_H_
