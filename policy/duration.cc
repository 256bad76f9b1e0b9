#include "policy/duration.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

// The units from the longest to the shortest, as they stand in a duration.
struct Unit {
  char letter;
  int64_t seconds;
};
constexpr std::array<Unit, 4> kUnits = {{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::string_view rest = text;
  int64_t seconds = 0;
  bool valid = !text.empty();
  for (const Unit& unit : kUnits) {
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == rest.size() || rest[digits] != unit.letter) continue;
    int64_t number = 0;
    // Nine digits of days do not overflow.
    valid = valid && digits <= 9 && absl::SimpleAtoi(rest.substr(0, digits), &number);
    seconds += number * unit.seconds;
    rest.remove_prefix(digits + 1);
  }
  valid = valid && rest.empty();
  if (!valid || seconds == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), valid ? " is too short" : " is not a valid duration",
                     "; give one such as \"90s\", \"30m\", \"1h30m\" or \"7d\""));
  }
  return absl::Seconds(seconds);
}

std::string FormatDuration(absl::Duration duration) {
  int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds <= 0) return "0s";
  std::string single;
  std::string mixed;
  int64_t rest = seconds;
  for (const Unit& unit : kUnits) {
    const std::string letter(1, unit.letter);
    if (single.empty() && seconds % unit.seconds == 0) {
      single = absl::StrCat(seconds / unit.seconds, letter);
    }
    if (rest >= unit.seconds) absl::StrAppend(&mixed, rest / unit.seconds, letter);
    rest %= unit.seconds;
  }
  return single.size() <= mixed.size() ? single : mixed;
}

}  // namespace deferd
