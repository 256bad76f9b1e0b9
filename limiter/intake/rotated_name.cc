#include "limiter/intake/rotated_name.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace deferd {
namespace {

constexpr size_t kDateSize = 8;  // "20261123"; fewer digits are a number, if a dot precedes them

}  // namespace

std::optional<RotatedName> ParseRotatedName(absl::string_view base, absl::string_view name) {
  if (base.empty() || !absl::ConsumePrefix(&name, base)) return std::nullopt;
  absl::ConsumeSuffix(&name, ".gz");
  if (name.size() < 2 || (name[0] != '.' && name[0] != '-')) return std::nullopt;
  const bool dot = name[0] == '.';
  name.remove_prefix(1);
  RotatedName rotated;
  bool last_is_digit = false;
  for (char c : name) {
    const bool digit = absl::ascii_isdigit(c);
    const bool separates = c == '-' || c == '_' || c == '.' || c == ':' || c == 'T';
    if (!digit && (!separates || !last_is_digit)) return std::nullopt;
    if (digit) rotated.date.push_back(c);
    last_is_digit = digit;
  }
  if (!last_is_digit) return std::nullopt;
  if (dot && rotated.date.size() < kDateSize) {
    if (rotated.date.size() != name.size() || !absl::SimpleAtoi(name, &rotated.number)) {
      return std::nullopt;
    }
    rotated.numbered = true;
    rotated.number = -rotated.number;
    rotated.date.clear();
  }
  return rotated;
}

absl::string_view RotatedBase(absl::string_view name) {
  for (size_t at = 1; at < name.size(); ++at) {
    if (name[at] != '.' && name[at] != '-') continue;
    if (ParseRotatedName(name.substr(0, at), name)) return name.substr(0, at);
  }
  return {};
}

}  // namespace deferd
