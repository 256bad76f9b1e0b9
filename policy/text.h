// Text that crosses between libraries.
//
// All interfaces of deferd use absl::string_view. In Debian's Abseil this is a type of its own,
// which does not convert from or to the std::string_view of spdlog, toml++, RE2 and
// std::filesystem. Convert with these two functions where such a library is called, and nowhere
// else.

#ifndef DEFERD_POLICY_TEXT_H_
#define DEFERD_POLICY_TEXT_H_

#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace deferd {

inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

// ASCII, whatever the locale.
inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }
inline bool IsAlnum(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }
inline bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Takes the digits off the front of `text`. False if it begins with none.
inline bool ConsumeDigits(absl::string_view* text) {
  size_t digits = 0;
  while (digits < text->size() && IsDigit((*text)[digits])) ++digits;
  text->remove_prefix(digits);
  return digits > 0;
}

// `text` with every byte outside printable ASCII replaced by '?', cut to `max_size` bytes, for
// lines that an MTA or a terminal shows.
std::string PrintableAscii(absl::string_view text, size_t max_size);

// `text` as valid UTF-8 without control characters (including bidirectional ones): these, and bytes
// that cannot be decoded, become U+FFFD; a TAB becomes a space. For JSON and terminals, because log
// text may be hostile.
std::string PrintableUtf8(absl::string_view text);

// `text` (valid UTF-8) with each control character except LF as \uXXXX. JSON text keeps its
// meaning, because control characters occur in strings only.
std::string EscapeControls(absl::string_view text);

// `text` in single quotes for a message to people: printable and cut to a maximum length.
std::string Quoted(absl::string_view text);

// At most `max_size` bytes of valid UTF-8; never cuts a character.
absl::string_view CutUtf8(absl::string_view text, size_t max_size);

}  // namespace deferd

#endif  // DEFERD_POLICY_TEXT_H_
