// A time stamp as printed, in any format of syslog daemons, journals and containers. No clock, zone
// or state: missing parts (year, zone) stay open, and stamp.h fills them in. Thread-safe.
//
//   Nov 22 00:15:04 · Nov 02 .. · Nov  2 .. · 2026 Nov 22 .. · Nov 22 2026 .. · 22 Nov 2026 ..
//   Sun Nov 22 00:15:04 2026 · Sun 2026-11-22 00:15:04 CET · 22/Nov/2026:00:15:04 +0100
//   2026-11-22T00:15:04.123456+01:00 · .. with a blank for the T · 2026/11/22 .. · 22.11.2026 ..
//   20261122T001504Z · 1795306504.123456 (since 1970; also in ms, µs, ns) · @4000000069.. (TAI64N)
//   2026年11月22日 .. · 11/22/2026 .. and 22/11/2026 .. (11/12/2026 may be either: no date)
//
// with a fraction after a dot or comma, AM or PM, a zone (Z, +01:00, +0100, +01, UTC or CET)
// directly or after a blank, and optional brackets. Month names may be in another language
// (month_names.h).

#ifndef DEFERD_LIMITER_INTAKE_STAMP_TEXT_H_
#define DEFERD_LIMITER_INTAKE_STAMP_TEXT_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace deferd {

struct StampText {
  int year = 0;  // 0: not printed
  // 0: the word is not a known month name, or is ambiguous between languages. Such a stamp can only
  // be skipped; see certainty().
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  absl::Duration fraction;
  std::optional<absl::Duration> offset;  // east of UTC
  absl::string_view zone;                // an abbreviation without a known offset
  std::optional<absl::Time> instant;     // printed as seconds: the other fields are not set

  // How precise it is: 0 no date, 1 no year, 2 no zone, 3 complete.
  int certainty() const {
    if (instant) return 3;
    if (month == 0) return 0;
    return year == 0 ? 1 : offset ? 3 : 2;
  }
};

// Takes a stamp and the blanks or tabs after it (at least one, unless the text ends) from the front
// of `text`. Returns nullopt, and leaves `text` unchanged, if there is none or the date is
// impossible.
std::optional<StampText> TakeStampText(absl::string_view* text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_STAMP_TEXT_H_
