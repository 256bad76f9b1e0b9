// What rotation calls the files that it has put aside: "mainlog.1", "mainlog.2.gz", "mainlog.01",
// "mainlog-20261123", "mainlog-20261123.gz", "mainlog-2026-11-23_0415". Pure functions.

#ifndef DEFERD_LIMITER_INTAKE_ROTATED_NAME_H_
#define DEFERD_LIMITER_INTAKE_ROTATED_NAME_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

struct RotatedName {
  // Of two such names of one log, the lesser is the older file: a higher number, an earlier date.
  // Which of a number and a date is older cannot be told, and is fixed.
  bool numbered = false;
  int64_t number = 0;  // negative
  std::string date;    // its digits

  friend auto operator<=>(const RotatedName&, const RotatedName&) = default;
};

// `name` as a rotated file of the log `base` (both without folder); nullopt: it is none.
std::optional<RotatedName> ParseRotatedName(absl::string_view base, absl::string_view name);

// The log of which `name` would be a rotated file; empty: of none.
absl::string_view RotatedBase(absl::string_view name);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_ROTATED_NAME_H_
