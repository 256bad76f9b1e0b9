// Any bytes as the front of log lines: unwrapped, and taken apart by the pure function and by the
// shorter way, which must agree and stay inside the line.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/any_reader.h"
#include "limiter/intake/log_wrapping.h"
#include "limiter/intake/syslog_prefix.h"
#include "tests/fuzz/fuzzing.h"

namespace {

bool IsInside(absl::string_view part, absl::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void TakeApart(absl::string_view line) {
  deferd::StampReader stamps(absl::UTCTimeZone());
  absl::string_view text = line;
  const std::optional<deferd::SyslogPrefix> taken = deferd::TakeSyslogPrefix(&stamps, &text);
  const std::optional<deferd::LogPrefix> prefix = deferd::ParseLogPrefix(line);
  if (taken) {
    deferd::Require(prefix.has_value());
    deferd::Require(text.data() + text.size() == line.data() + line.size());
    deferd::Require(taken->tag == prefix->program && taken->pid == prefix->pid &&
                    text == prefix->text);
  } else {
    deferd::Require(text == line);
  }
  if (!prefix) return;
  for (absl::string_view part : {prefix->host, prefix->program, prefix->pid, prefix->text}) {
    deferd::Require(IsInside(part, line));
  }
  deferd::StampReader again(absl::UTCTimeZone());
  const std::optional<absl::Time> time = again.Resolve(prefix->stamp);
  deferd::Require(time.has_value() == taken.has_value());
  if (time) deferd::Require(*time == taken->time);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  deferd::LogUnwrapper unwrapper;
  const auto reader = deferd::NewAnyReader({.zone = absl::UTCTimeZone(), .max_open_messages = 3},
                                           {.zone = absl::UTCTimeZone(), .max_open_messages = 3});
  deferd::EventBatch batch;
  for (absl::string_view line : absl::StrSplit(bytes, '\n')) {
    TakeApart(line);
    reader->ReadLine(line, &batch);
    deferd::LogUnwrapper restarted;
    restarted.Restore(unwrapper.SaveState());
    absl::string_view one = line, other = line;
    deferd::Require(unwrapper.Take(&one) == restarted.Take(&other));
    deferd::Require(one == other);
    deferd::Require(unwrapper.SaveState() == restarted.SaveState());
  }
  const deferd::LineCounts& counts = batch.counts;
  deferd::Require(counts.lines ==
                  counts.attempts + counts.not_mine + counts.rejected + counts.malformed);
  unwrapper.Restore(bytes);
  return 0;
}
