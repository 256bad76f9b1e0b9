#include "limiter/intake/journal_line.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/intake/postfix_line.h"

namespace deferd {
namespace {

bool IsDigits(absl::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos;
}

// Whether the text contains "[12]", which would end the tag early.
bool HoldsProcess(absl::string_view identifier) {
  for (size_t open = identifier.find('['); open != absl::string_view::npos;
       open = identifier.find('[', open + 1)) {
    if (IsDigits(identifier.substr(open + 1, identifier.find(']', open) - open - 1))) return true;
  }
  return false;
}

// Further characters would end the tag early or begin another one; other characters in front may
// be read as part of a stamp or of a level.
bool IsTag(absl::string_view identifier) {
  if (identifier.empty() || !absl::ascii_isalpha(static_cast<unsigned char>(identifier.front()))) {
    return false;
  }
  bool plain = true;
  for (const char c : identifier) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return false;
    plain = plain && !absl::StrContains(":[]<", c);  // "<22>" is a priority
  }
  if (plain) return true;
  absl::string_view program;
  return IsPostfixTag(identifier, &program) && !HoldsProcess(identifier);
}

}  // namespace

bool JournalLine(const JournalEntry& entry, std::string* line) {
  if (!IsTag(entry.identifier)) return false;
  *line = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ ", entry.time, absl::UTCTimeZone());
  absl::StrAppend(line, entry.identifier);
  if (IsDigits(entry.pid)) absl::StrAppend(line, "[", entry.pid, "]");
  absl::StrAppend(line, ": ");
  for (const char c : entry.message) {
    const auto byte = static_cast<unsigned char>(c);
    if (!absl::ascii_iscntrl(byte) || c == '\t') {
      line->push_back(c);
      continue;
    }
    for (const char digit :
         {'#', static_cast<char>('0' + (byte >> 6)), static_cast<char>('0' + (byte >> 3) % 8),
          static_cast<char>('0' + byte % 8)}) {
      line->push_back(digit);
    }
  }
  return true;
}

}  // namespace deferd
