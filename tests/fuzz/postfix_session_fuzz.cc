// Any bytes as a connection of Postfix, in pieces that the first byte chooses.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "limiter/hook/postfix_session.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] % 64 + 1;
  absl::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  deferd::PostfixSession session(
      [](const deferd::Question&) {
        return deferd::Answer{.verdict = deferd::Verdict::kReject, .text = "no"};
      },
      nullptr, nullptr);
  std::string out;
  while (!bytes.empty() && session.OnBytes(bytes.substr(0, piece), &out)) {
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  session.OnEnd(&out);
  // Every answer ends in an empty line.
  if (!out.empty() && (out.size() < 2 || out.substr(out.size() - 2) != "\n\n")) std::abort();
  return 0;
}
