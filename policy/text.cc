#include "policy/text.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr size_t kMaxQuoted = 100;

// The length of the well-formed UTF-8 character that `text` begins with (RFC 3629 section 4), and
// its code point; 0 if there is none.
size_t DecodeUtf8(absl::string_view text, uint32_t* code_point) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  size_t length = 0;
  uint32_t least = 0;
  if (first < 0x80) {
    *code_point = first;
    return 1;
  } else if (first >= 0xC2 && first < 0xE0) {
    length = 2, least = 0x80, *code_point = first & 0x1F;
  } else if (first >= 0xE0 && first < 0xF0) {
    length = 3, least = 0x800, *code_point = first & 0x0F;
  } else if (first >= 0xF0 && first < 0xF5) {
    length = 4, least = 0x10000, *code_point = first & 0x07;
  }
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    *code_point = *code_point << 6 | (byte(i) & 0x3F);
  }
  const bool surrogate = *code_point >= 0xD800 && *code_point < 0xE000;
  return *code_point < least || *code_point > 0x10FFFF || surrogate ? 0 : length;
}

// C0, DEL, C1, line and paragraph separators, and the marks that reorder what a terminal shows.
bool IsControl(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string PrintableAscii(absl::string_view text, size_t max_size) {
  std::string printable(text.substr(0, max_size));
  for (char& c : printable) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return printable;
}

std::string PrintableUtf8(absl::string_view text) {
  std::string printable;
  printable.reserve(text.size());
  while (!text.empty()) {
    uint32_t code_point = 0;
    const size_t length = DecodeUtf8(text, &code_point);
    if (code_point == '\t' && length == 1) {
      printable.push_back(' ');
    } else if (length == 0 || IsControl(code_point)) {
      absl::StrAppend(&printable, kReplacement);
    } else {
      absl::StrAppend(&printable, text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return printable;
}

std::string EscapeControls(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    // Most text has none: it is copied in pieces.
    const size_t plain = std::min(
        static_cast<size_t>(std::find_if(text.begin(), text.end(),
                                         [](unsigned char c) {
                                           return c == 0x7F || c >= 0x80 || (c < 0x20 && c != '\n');
                                         }) -
                            text.begin()),
        text.size());
    absl::StrAppend(&escaped, text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    uint32_t code_point = 0;
    const size_t length = DecodeUtf8(text, &code_point);
    if (length > 0 && IsControl(code_point)) {
      absl::StrAppend(&escaped, "\\u", absl::Hex(code_point, absl::kZeroPad4));
    } else {
      absl::StrAppend(&escaped, text.substr(0, std::max<size_t>(1, length)));
    }
    text.remove_prefix(std::max<size_t>(1, length));
  }
  return escaped;
}

std::string Quoted(absl::string_view text) {
  if (text.size() <= kMaxQuoted) return absl::StrCat("'", PrintableUtf8(text), "'");
  size_t end = kMaxQuoted;
  while (end > kMaxQuoted - 4 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat("'", PrintableUtf8(text.substr(0, end)), "...'");
}

absl::string_view CutUtf8(absl::string_view text, size_t max_size) {
  if (text.size() <= max_size) return text;
  // Continuation bytes are 10xxxxxx: cut before the character that they belong to.
  while (max_size > 0 && (static_cast<unsigned char>(text[max_size]) & 0xC0) == 0x80) --max_size;
  return text.substr(0, max_size);
}

}  // namespace deferd
