#include "policy/message_id.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace deferd {

namespace {

constexpr size_t kShortestId = 6;
// Short: five digits of microseconds, then the inode, 16 digits at most. Long: six of seconds or
// more, four of microseconds, "z", the inode, 12 at most.
constexpr size_t kLongestId = 24;

bool IsBase62(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c); });
}

}  // namespace

bool IsEximId(absl::string_view text) {
  size_t middle;
  if (text.size() == kShortEximId) {
    middle = 6;
  } else if (text.size() == kLongEximId) {
    middle = 11;
  } else {
    return false;
  }
  return text[6] == '-' && text[7 + middle] == '-' && IsBase62(text.substr(0, 6)) &&
         IsBase62(text.substr(7, middle)) && IsBase62(text.substr(8 + middle));
}

bool IsPostfixId(absl::string_view text) {
  if (text.size() < kShortestId || text.size() > kLongestId) return false;
  // A word of a message ("warning") has small letters alone.
  bool word = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!absl::ascii_isalnum(byte)) return false;
    word = word && absl::ascii_islower(byte);
  }
  return !word && text != "NOQUEUE";
}

}  // namespace deferd
