// Secrets that nobody can guess, and what is stored of them. Safe from any thread.

#ifndef DEFERD_EXPORTER_API_SECRET_H_
#define DEFERD_EXPORTER_API_SECRET_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

// 256 bits from the kernel's random generator, in letters that a URL and a header may hold.
// nullopt: the kernel gives none.
std::optional<std::string> NewSecret();

// In hex; "" if the library fails.
std::string Sha256Hex(absl::string_view text);

// Compares in the same time wherever the texts differ.
bool SameSecret(absl::string_view a, absl::string_view b);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_SECRET_H_
