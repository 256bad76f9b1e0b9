// Text that attacks whatever shows it, and checks that a face has disarmed it.
//
// Senders choose addresses, logins and subjects; remote servers choose replies; whoever can write
// to Redis chooses everything. Each face is tested with this one table: a new face takes it too.
// The checks decode UTF-8 by themselves, so that a mistake of policy/text does not hide in its
// test.

#ifndef DEFERD_TESTS_HOSTILE_STRINGS_H_
#define DEFERD_TESTS_HOSTILE_STRINGS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace deferd {

struct HostileString {
  std::string name;
  std::string bytes;
};
inline void PrintTo(const HostileString& one, std::ostream* out) { *out << one.name; }

// What a line begins with that hostile text has made.
inline constexpr absl::string_view kForged = "FORGED";

inline const std::vector<HostileString>& HostileStrings() {
  static const auto* const kAll = new std::vector<HostileString>{
      {"LineFeed", "x\nFORGED row"},
      {"CarriageReturn", "x\r\nFORGED row"},
      {"LoneReturn", "x\rFORGED row"},
      {"MailHeader", "x\r\nBcc: FORGED@evil.example\r\n\r\nFORGED body"},
      {"EndOfMessage", "x\r\n.\r\nFORGED QUIT"},
      {"Zero", std::string("x\0FORGED", 8)},
      {"ClearScreen", "\x1b[2J\x1b[HFORGED"},
      {"Title", "\x1b]0;FORGED\x07"},
      {"Clipboard", "\x1b]52;c;Rk9SR0VE\x07"},
      {"DeviceControl", "\x1bP$q\"p\x1b\\"},
      {"ColourLeft", "\x1b[31m"},
      {"BackSpace", "good.example\x08\x08\x08\x08evil"},
      {"Delete", "x\x7f\x7fy"},
      {"VerticalMoves", "x\x0b\x0cFORGED"},
      {"C1AsUtf8",
       "\xc2\x9b"
       "2J\xc2\x9d"
       "0;FORGED\xc2\x9c\xc2\x85"
       "FORGED"},
      {"C1AsByte",
       "\x9b"
       "2J\x9d"
       "0;FORGED\x9c\x85"
       "FORGED"},
      {"RightToLeft",
       "txt.\xe2\x80\xae"
       "exe\xe2\x80\xac"},
      {"Isolates",
       "\xe2\x81\xa6"
       "a\xe2\x81\xa7"
       "b\xe2\x81\xa8"
       "c\xe2\x81\xa9"},
      {"Marks", "\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c"},
      {"LineSeparators",
       "x\xe2\x80\xa8"
       "FORGED\xe2\x80\xa9"
       "FORGED"},
      {"Latin1", "M\xfcller"},
      {"Overlong",
       "\xc0\xae\xc0\xae\xc0\xaf\xe0\x80\x8a"
       "FORGED"},
      {"Surrogate", "\xed\xa0\x80\xed\xb0\x80"},
      {"BeyondUnicode", "\xf4\x90\x80\x80\xff\xfe"},
      {"CutOff", "x\xe2\x82"},
      {"Json", "x\",\"FORGED\":\"y\\"},
      {"JsonEscape", "\\u000aFORGED\\"},
      {"PrometheusLabel", "x\"} 1\nFORGED_metric{a=\"\\"},
      {"PrometheusBackslash", "x\\"},
      {"Html", "<script>alert('FORGED')</script><img src=x onerror=alert(1)>"},
      {"HtmlAttribute", "\" onmouseover='alert(1)' x=\""},
      {"Entity", "&lt;b&gt;&#10;FORGED"},
      {"Formula", "=HYPERLINK(\"http://evil.example\",\"FORGED\")"},
      {"FormulaPlus", "+1+cmd|' /C calc'!A0"},
      {"FormulaAt", "@SUM(1,1)"},
      {"Csv", "x\",\"FORGED\"\n\"FORGED"},
      {"Tab", "x\tdomain=good.example\tlogin=eve@good.example"},
      {"Postfix", "x\naction=DUNNO\n\nFORGED"},
      {"Percent", "%s%n%d{}{0}%%"},
      {"Shell", "$(reboot)`reboot`;'\"|"},
      {"Combining", "x\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcd\x96\xcd\x97"},
      {"Wide", "\xe4\xb8\xad\xf0\x9f\x98\x80\xe2\x80\x8d\xf0\x9f\x98\x80"},
      {"Blank", "   "},
      {"Long", std::string(20'000, 'a')},
      {"LongWords", std::string(3'000, ' ') + "FORGED"},
  };
  return *kAll;
}

// Why `text` must not reach a terminal, a log or JSON; empty: it may. It has to be UTF-8 without a
// control character, `\n` apart if `lines`, and no line may begin with forged text.
inline std::string WhyUnsafe(absl::string_view text, bool lines = true) {
  bool at_begin = true;
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) {
      return at < text.size() ? static_cast<uint8_t>(text[at]) : uint8_t{0};
    };
    const auto wrong = [&](absl::string_view what) {
      return absl::StrCat(what, " at byte ", i, " of ", absl::CHexEscape(text.substr(0, 2'000)));
    };
    if (at_begin && lines && text.substr(i, kForged.size()) == kForged) return wrong("forged line");
    const uint8_t first = byte(i);
    at_begin = first == '\n';
    if (first == '\n' && lines) {
      ++i;
      continue;
    }
    if (first < 0x20 || first == 0x7f) return wrong("control character");
    if (first < 0x80) {
      ++i;
      continue;
    }
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t c = first & (0xff >> (length + 1));
    for (size_t n = 1; n < length; ++n) {
      if ((byte(i + n) & 0xc0) != 0x80) return wrong("broken UTF-8");
      c = c << 6 | (byte(i + n) & 0x3f);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (first < 0xc2 || first > 0xf4 || c < kLeast[length] || c > 0x10ffff ||
        (c >= 0xd800 && c < 0xe000)) {
      return wrong("broken UTF-8");
    }
    if (c < 0xa0) return wrong("C1 control");
    if (c == 0x61c || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
        (c >= 0x2066 && c <= 0x2069)) {
      return wrong("bidirectional or line control");
    }
    i += length;
  }
  return "";
}

}  // namespace deferd

#endif  // DEFERD_TESTS_HOSTILE_STRINGS_H_
