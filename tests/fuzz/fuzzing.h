// What several fuzz targets do alike.

#ifndef DEFERD_TESTS_FUZZ_FUZZING_H_
#define DEFERD_TESTS_FUZZ_FUZZING_H_

#include <cstddef>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "limiter/port/socket_server.h"

namespace deferd {

// A property of the code under test; the fuzzer keeps the input that breaks it.
inline void Require(bool condition) {
  if (!condition) std::abort();
}

// What a session answers to `bytes` that come in pieces of that size, until it ends.
inline std::string Talk(Session* session, absl::string_view bytes, size_t piece_size) {
  std::string out;
  bool open = true;
  while (open && !bytes.empty()) {
    const absl::string_view piece = bytes.substr(0, piece_size);
    open = session->OnBytes(piece, &out);
    bytes.remove_prefix(piece.size());
  }
  if (open) session->OnEnd(&out);
  return out;
}

}  // namespace deferd

#endif  // DEFERD_TESTS_FUZZ_FUZZING_H_
