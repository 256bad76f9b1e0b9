// Text that crosses between libraries.
//
// Every interface of deferd speaks absl::string_view. Debian's Abseil keeps it a type of its own,
// so it does not convert from or to std::string_view, which spdlog, toml++, RE2 and std::filesystem
// want. Cross at their doors with these two functions, nowhere else.

#ifndef DEFERD_POLICY_TEXT_H_
#define DEFERD_POLICY_TEXT_H_

#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace deferd {

inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

// `text` with every byte outside printable ASCII replaced by '?', cut to `max_size` bytes. For
// lines that an MTA or a terminal is going to show.
std::string PrintableAscii(absl::string_view text, size_t max_size);

// `text` as valid UTF-8 without control characters (bidirectional ones too): they, and what cannot
// be decoded, become U+FFFD, a TAB becomes a space. For JSON and terminals, which log text may try
// to break.
std::string PrintableUtf8(absl::string_view text);

// `text`, which is valid UTF-8, with each control character but LF (those of PrintableUtf8) as
// \uXXXX. Of JSON, where it stands in strings alone, the same JSON.
std::string EscapeControls(absl::string_view text);

// `text` in single quotes for a message to people: printable, and cut where it is long.
std::string Quoted(absl::string_view text);

// At most `max_size` bytes of valid UTF-8, never half a character.
absl::string_view CutUtf8(absl::string_view text, size_t max_size);

}  // namespace deferd

#endif  // DEFERD_POLICY_TEXT_H_
