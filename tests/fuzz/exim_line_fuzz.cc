// Any bytes as a log: through the splitter and the Exim reader, stamps, syslog prefixes and all.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/exim_line.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/line_splitter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  deferd::ParseEximLine(bytes);

  const deferd::EximReaderOptions options = {
      .zone = absl::UTCTimeZone(), .max_open_messages = 3, .open_messages = true};
  const auto reader = deferd::NewEximReader(options);
  deferd::LineSplitter splitter;
  deferd::EventBatch batch;
  const auto on_line = [&](absl::string_view line) { reader->ReadLine(line, &batch); };
  const auto on_skipped = [&] { reader->SkipLine(&batch); };
  splitter.Feed(bytes, on_line, on_skipped);
  splitter.Finish(on_line, on_skipped);

  const deferd::LineCounts& counts = batch.counts;
  if (counts.lines != counts.attempts + counts.not_mine + counts.rejected + counts.malformed) {
    std::abort();
  }
  if (reader->open_messages() > 3) std::abort();
  const std::string state = reader->SaveState();
  const auto next = deferd::NewEximReader(options);
  if (!next->Restore({}, state).ok() || next->SaveState() != state) std::abort();
  return 0;
}
