// Any bytes as an entry of the journal ("IDENTIFIER LF PID LF MESSAGE"): one line, which reads as
// the program that the entry had. A log relay's entry may be a line of another program.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/any_reader.h"
#include "limiter/intake/journal_line.h"
#include "limiter/intake/syslog_prefix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> parts = absl::StrSplit(bytes, absl::MaxSplits('\n', 2));
  if (parts.size() < 3) return 0;
  const deferd::JournalEntry entry = {.time = absl::FromUnixSeconds(1'764'000'000),
                                      .identifier = parts[0],
                                      .pid = parts[1],
                                      .message = parts[2]};
  std::string line;
  if (!deferd::JournalLine(entry, &line)) return 0;
  if (line.find('\n') != std::string::npos || line.find('\0') != std::string::npos) std::abort();
  const auto prefix = deferd::ParseLogPrefix(line);
  const absl::string_view identifier = entry.identifier;
  const bool is_mail =
      identifier == "exim" || identifier == "exim4" || absl::StartsWith(identifier, "postfix/smtp");
  if ((is_mail || !deferd::IsLogRelay(identifier)) && (!prefix || prefix->program != identifier)) {
    std::abort();
  }
  const auto reader =
      deferd::NewAnyReader({.zone = absl::UTCTimeZone()}, {.zone = absl::UTCTimeZone()});
  deferd::EventBatch batch;
  reader->ReadLine(line, &batch);
  return 0;
}
