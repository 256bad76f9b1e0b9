// The two text formats in which Prometheus and others read metrics, and which of them a client asks
// for: the classic one (0.0.4) and OpenMetrics 1.0.
//
// Pure; safe from any thread.

#ifndef DEFERD_EXPORTER_EXPOSITION_H_
#define DEFERD_EXPORTER_EXPOSITION_H_

#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

enum class Exposition { kText, kOpenMetrics };

// By an Accept header, which may be empty: OpenMetrics only if it is accepted and nothing that the
// classic format serves is preferred to it.
Exposition WantedExposition(absl::string_view accept);

const char* ContentType(Exposition exposition);

// A page of the classic format, as deferd writes it (no timestamps), in OpenMetrics: a counter's
// family is named without its "_total", quotes in help texts are escaped, and "# EOF" ends it.
std::string ToOpenMetrics(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_EXPOSITION_H_
