// Durations as people write them in files and on the command line.
//
// Abseil's functions do not support days, and print "1h0m0s". Write deferd::FormatDuration with its
// namespace, because argument-dependent lookup also finds Abseil's.

#ifndef DEFERD_POLICY_DURATION_H_
#define DEFERD_POLICY_DURATION_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace deferd {

// Reads "90s", "30m", "1h", "7d" or "1h30m": whole numbers with units, longest unit first.
// InvalidArgument if `text` is not a duration, or zero ("0s").
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// The shortest form of the whole seconds: "1h", "90s".
std::string FormatDuration(absl::Duration duration);

}  // namespace deferd

#endif  // DEFERD_POLICY_DURATION_H_
