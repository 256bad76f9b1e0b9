// Any bytes as a log of Postfix: through the splitter and the reader, stamps, tags and all.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/line_splitter.h"
#include "limiter/intake/postfix_line.h"
#include "limiter/intake/postfix_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char* program : {"smtp", "smtpd", "qmgr", "pickup", "cleanup", "bounce"}) {
    deferd::ParsePostfixLine(program, bytes);
  }
  const auto reader = deferd::NewPostfixReader(
      {.zone = absl::UTCTimeZone(), .max_open_messages = 3, .open_messages = true});
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
  return 0;
}
