// Any bytes as a window row: no crash, and what decodes comes back.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/window_row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<deferd::WindowRow> row =
      deferd::DecodeWindowRow({reinterpret_cast<const char*>(data), size});
  if (!row.ok()) return 0;
  const absl::StatusOr<deferd::WindowRow> again =
      deferd::DecodeWindowRow(deferd::EncodeWindowRow(*row));
  if (!again.ok() || *again != *row) std::abort();
  return 0;
}
