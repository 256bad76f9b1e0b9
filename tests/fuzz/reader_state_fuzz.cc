// Any bytes as what a reader left behind: refused, or taken, and then written again alike.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "limiter/intake/reader_state.h"
#include "policy/attempt.h"
#include "tests/fuzz/fuzzing.h"

namespace {

void RestoreAndSave(std::unique_ptr<deferd::LogReader> reader, absl::string_view bytes,
                    std::unique_ptr<deferd::LogReader> next) {
  if (!reader->Restore({}, bytes).ok()) return;
  const std::string saved = reader->SaveState();
  deferd::Require(next->Restore({}, saved).ok());
  deferd::Require(next->SaveState() == saved);
  deferd::EventBatch batch;
  next->Finish(&batch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  deferd::ReaderState state;
  std::deque<deferd::Attempt> early;
  if (deferd::DecodeReaderState(bytes, &state, &early).ok()) {
    const std::string written = deferd::EncodeReaderState(state, early);
    deferd::ReaderState again;
    std::deque<deferd::Attempt> early_again;
    deferd::Require(deferd::DecodeReaderState(written, &again, &early_again).ok());
    deferd::Require(deferd::EncodeReaderState(again, early_again) == written);
    for (const char c : written) deferd::Require(c >= ' ' && c <= '~');
  }
  const auto exim = [] { return deferd::NewEximReader({.zone = absl::UTCTimeZone()}); };
  const auto postfix = [] { return deferd::NewPostfixReader({.zone = absl::UTCTimeZone()}); };
  RestoreAndSave(exim(), bytes, exim());
  RestoreAndSave(postfix(), bytes, postfix());
  return 0;
}
