// Any bytes, in any split, to an Exim session: no crash, and the same answers as in one piece. The
// first byte chooses the split.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>
#include <string>

#include "limiter/hook/exim_session.h"
#include "tests/fuzz/fuzzing.h"

namespace {

std::string Answers(absl::string_view bytes, size_t piece_size) {
  deferd::EximSession session(
      [](const deferd::Question& question) -> deferd::Answer {
        return {
            .verdict = deferd::Verdict::kHold,
            .text = question.identity.sender + question.identity.login + question.identity.user};
      },
      nullptr, nullptr);
  return deferd::Talk(&session, bytes, piece_size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = Answers(bytes, std::max<size_t>(1, bytes.size()));
  if (Answers(bytes, size_t{data[0]} + 1) != whole) abort();
  for (const char c : whole) {
    if (c != '\n' && (c < ' ' || c > '~')) abort();
  }
  return 0;
}
