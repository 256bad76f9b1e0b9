// How far apart two short words are, for "did you mean".

#ifndef DEFERD_POLICY_EDIT_DISTANCE_H_
#define DEFERD_POLICY_EDIT_DISTANCE_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace deferd {

// Insertions, deletions, replacements and swapped neighbours that turn `a` into `b`; pure. Takes
// a.size() * b.size() steps: bound the words before.
size_t EditDistance(absl::string_view a, absl::string_view b);

}  // namespace deferd

#endif  // DEFERD_POLICY_EDIT_DISTANCE_H_
