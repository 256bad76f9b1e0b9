// Parses names of rotated log files: "mainlog.1", "mainlog.2.gz", "mainlog.01", "mainlog-20261123",
// "mainlog-20261123.gz", "mainlog-2026-11-23_0415". Pure functions.

#ifndef DEFERD_LIMITER_INTAKE_ROTATED_NAME_H_
#define DEFERD_LIMITER_INTAKE_ROTATED_NAME_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

struct RotatedName {
  // Among names of one log, the smaller value is the older file: a higher number, an earlier date.
  // The order between numbers and dates is arbitrary but fixed.
  bool numbered = false;
  int64_t number = 0;  // negative
  std::string date;    // its digits

  friend auto operator<=>(const RotatedName&, const RotatedName&) = default;
};

// Parses `name` as a rotated file of the log `base` (both without directory); nullopt: it is not
// one.
std::optional<RotatedName> ParseRotatedName(absl::string_view base, absl::string_view name);

// The log of which `name` would be a rotated file; empty: none.
absl::string_view RotatedBase(absl::string_view name);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_ROTATED_NAME_H_
