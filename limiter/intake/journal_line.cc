#include "limiter/intake/journal_line.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/intake/postfix_line.h"
#include "limiter/intake/syslog_prefix.h"

namespace deferd {
namespace {

bool IsDigits(absl::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == absl::string_view::npos;
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
  return IsPostfixTag(identifier, &program);
}

// Whether the readers find that program in front of a text: "error:" alone is a level to them, and
// what it says would be taken for another program's line.
bool ReadsAs(absl::string_view identifier, absl::string_view head) {
  const std::optional<LogPrefix> prefix = ParseLogPrefix(head);
  return prefix && prefix->program == identifier;
}

}  // namespace

bool JournalLine(const JournalEntry& entry, std::string* line) {
  if (!IsTag(entry.identifier)) return false;
  *line = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ ", entry.time, absl::UTCTimeZone());
  absl::StrAppend(line, entry.identifier);
  if (IsDigits(entry.pid)) absl::StrAppend(line, "[", entry.pid, "]");
  absl::StrAppend(line, ": ");
  if (!ReadsAs(entry.identifier, *line)) return false;
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
