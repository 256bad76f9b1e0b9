#include "limiter/intake/journal_line.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace deferd {
namespace {

// More in a tag would end it early, or begin another.
bool IsTag(absl::string_view identifier) {
  for (const char c : identifier) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) || c == ':' || c == '[') return false;
  }
  return !identifier.empty();
}

}  // namespace

bool JournalLine(const JournalEntry& entry, std::string* line) {
  if (!IsTag(entry.identifier)) return false;
  *line = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ ", entry.time, absl::UTCTimeZone());
  absl::StrAppend(line, entry.identifier, ": ");
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
