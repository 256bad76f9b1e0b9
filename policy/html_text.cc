#include "policy/html_text.h"

#include "absl/strings/str_replace.h"
#include "policy/text.h"

namespace deferd {

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      PrintableUtf8(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

}  // namespace deferd
