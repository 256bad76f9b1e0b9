#include "policy/case_id.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

constexpr size_t kNodeDigits = 8;

bool IsWholeNumber(absl::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == absl::string_view::npos;
}

}  // namespace

std::optional<std::string> ParseCaseId(absl::string_view text) {
  std::string id = absl::AsciiStrToLower(absl::StripSuffix(absl::StripAsciiWhitespace(text), "."));
  const std::vector<absl::string_view> parts = absl::StrSplit(id, '-');
  if (parts.size() != 3 || parts[0].size() != kNodeDigits ||
      parts[0].find_first_not_of("0123456789abcdef") != absl::string_view::npos ||
      !IsWholeNumber(parts[1]) || !IsWholeNumber(parts[2])) {
    return std::nullopt;
  }
  return id;
}

}  // namespace deferd
