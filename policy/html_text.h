// Text as HTML: the one escaper of the console's pages and of the notices' mail. Pure.

#ifndef DEFERD_POLICY_HTML_TEXT_H_
#define DEFERD_POLICY_HTML_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

// For text and for an attribute in double quotes; control characters, those of bidirectional text
// too, and bytes that are no UTF-8 become U+FFFD.
std::string EscapeHtml(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_POLICY_HTML_TEXT_H_
