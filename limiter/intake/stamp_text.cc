#include "limiter/intake/stamp_text.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "limiter/intake/month_names.h"
#include "policy/text.h"

namespace deferd {
namespace {

using absl::string_view;

constexpr size_t kLongestWord = 32;

// Part of a word in any language.
bool IsLetter(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c < 0; }

// Takes a number of `min` to `max` digits from the front; -1 if there are fewer.
int TakeNumber(string_view* in, size_t min, size_t max) {
  int value = 0;
  size_t n = 0;
  while (n < in->size() && n < max && IsDigit((*in)[n])) value = value * 10 + ((*in)[n++] - '0');
  if (n < min || (n < in->size() && IsDigit((*in)[n]))) return -1;
  in->remove_prefix(n);
  return value;
}

bool TakeChar(string_view* in, char c) {
  if (in->empty() || in->front() != c) return false;
  in->remove_prefix(1);
  return true;
}

bool TakeOneOf(string_view* in, string_view chars, char* taken) {
  if (in->empty() || !absl::StrContains(chars, in->substr(0, 1))) return false;
  *taken = in->front();
  in->remove_prefix(1);
  return true;
}

// At least one blank or tab.
bool TakeBlanks(string_view* in) {
  size_t n = 0;
  while (n < in->size() && IsBlank((*in)[n])) ++n;
  in->remove_prefix(n);
  return n > 0;
}

string_view TakeLetters(string_view* in) {
  size_t n = 0;
  while (n < in->size() && IsLetter((*in)[n])) ++n;
  const string_view word = in->substr(0, n);
  in->remove_prefix(n);
  return word;
}

// ".247", ",247" or nothing, as a fraction of a second.
absl::Duration TakeFraction(string_view* in) {
  if (in->size() < 2 || ((*in)[0] != '.' && (*in)[0] != ',') || !IsDigit((*in)[1])) {
    return absl::ZeroDuration();
  }
  int64_t nanos = 0;
  in->remove_prefix(1);
  for (int64_t unit = 100'000'000; !in->empty() && IsDigit(in->front()); unit /= 10) {
    nanos += unit * (in->front() - '0');
    in->remove_prefix(1);
  }
  return absl::Nanoseconds(nanos);
}

// " AM" or " PM" behind a clock of twelve hours. In capitals alone: "pm" may be a host.
void TakeHalfOfDay(string_view* in, StampText* stamp) {
  string_view rest = *in;
  if (stamp->hour < 1 || stamp->hour > 12 || !TakeChar(&rest, ' ')) return;
  const bool afternoon = absl::StartsWith(rest, "PM");
  if (!afternoon && !absl::StartsWith(rest, "AM")) return;
  rest.remove_prefix(2);
  if (!rest.empty() && !IsBlank(rest.front()) && rest.front() != ']') return;
  stamp->hour = stamp->hour % 12 + (afternoon ? 12 : 0);
  *in = rest;
}

// "00:15:04", a fraction, and the half of the day.
bool TakeClock(string_view* in, StampText* stamp) {
  string_view rest = *in;
  stamp->hour = TakeNumber(&rest, 1, 2);
  if (!TakeChar(&rest, ':')) return false;
  stamp->minute = TakeNumber(&rest, 2, 2);
  if (!TakeChar(&rest, ':')) return false;
  stamp->second = TakeNumber(&rest, 2, 2);
  if (stamp->hour < 0 || stamp->hour > 23 || stamp->minute < 0 || stamp->minute > 59 ||
      stamp->second < 0 || stamp->second > 60) {
    return false;
  }
  stamp->fraction = TakeFraction(&rest);
  *in = rest;
  TakeHalfOfDay(in, stamp);
  return true;
}

bool AtEnd(string_view in) { return in.empty() || IsBlank(in.front()); }
// Likewise in brackets.
bool AtEndInside(string_view in) { return AtEnd(in) || in.front() == ']'; }

// "Z", "+01:00", "+0100", "+01".
std::optional<absl::Duration> TakeOffset(string_view* in) {
  string_view rest = *in;
  if (TakeChar(&rest, 'Z') || TakeChar(&rest, 'z')) {
    *in = rest;
    return absl::ZeroDuration();
  }
  char sign;
  if (!TakeOneOf(&rest, "+-", &sign) || rest.size() < 2) return std::nullopt;
  string_view digits = rest.substr(0, 2);
  rest.remove_prefix(2);
  const int hours = TakeNumber(&digits, 2, 2);
  int minutes = 0;
  if (TakeChar(&rest, ':') || (!rest.empty() && IsDigit(rest.front()))) {
    minutes = TakeNumber(&rest, 2, 2);
  }
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
  *in = rest;
  const absl::Duration offset = absl::Hours(hours) + absl::Minutes(minutes);
  return sign == '-' ? -offset : offset;
}

// Abbreviations with one offset everywhere; CST, IST, BST and others depend on the server's zone.
std::optional<absl::Duration> KnownZone(string_view name) {
  constexpr struct {
    string_view name;
    int hours;
  } kZones[] = {{"UTC", 0},   {"GMT", 0},   {"UCT", 0},  {"WET", 0},   {"WEST", 1},  {"CET", 1},
                {"CEST", 2},  {"MEZ", 1},   {"MESZ", 2}, {"EET", 2},   {"EEST", 3},  {"MSK", 3},
                {"JST", 9},   {"KST", 9},   {"EDT", -4}, {"EST", -5},  {"CDT", -5},  {"MDT", -6},
                {"MST", -7},  {"PDT", -7},  {"PST", -8}, {"AKST", -9}, {"HST", -10}, {"AEST", 10},
                {"AEDT", 11}, {"NZST", 12}, {"NZDT", 13}};
  for (const auto& zone : kZones) {
    if (name == zone.name) return absl::Hours(zone.hours);
  }
  return std::nullopt;
}

// A zone directly after the time or after one blank. `named`: the form always has a zone name
// there, so an unknown word is not a host.
void TakeZone(bool named, string_view* in, StampText* stamp) {
  string_view rest = *in;
  const bool blank = TakeChar(&rest, ' ');
  if (const std::optional<absl::Duration> offset = TakeOffset(&rest); offset && AtEndInside(rest)) {
    stamp->offset = *offset;
    *in = rest;
    return;
  }
  if (!blank) return;
  size_t n = 0;
  while (n < rest.size() && absl::ascii_isupper(static_cast<unsigned char>(rest[n]))) ++n;
  const string_view name = rest.substr(0, n);
  rest.remove_prefix(n);
  if (n < 3 || n > 5 || !AtEndInside(rest)) return;
  const std::optional<absl::Duration> offset = KnownZone(name);
  if (!offset && !named) return;
  stamp->offset = offset;
  if (!offset) stamp->zone = name;
  *in = rest;
}

bool IsYear(int year) { return year >= 1970 && year <= 2199; }

// Behind a blank, before another or the end.
bool TakeTrailingYear(string_view* in, StampText* stamp) {
  string_view rest = *in;
  if (!TakeBlanks(&rest)) return false;
  const int year = TakeNumber(&rest, 4, 4);
  if (!IsYear(year) || !AtEndInside(rest)) return false;
  stamp->year = year;
  *in = rest;
  return true;
}

bool DateExists(const StampText& stamp) {
  if (stamp.month == 0) return stamp.day >= 1 && stamp.day <= 31;
  const int year = stamp.year == 0 ? 2024 : stamp.year;  // a leap year
  const absl::CivilDay day(year, stamp.month, stamp.day);
  return day.month() == stamp.month && day.day() == stamp.day;
}

// The month's name, also "11月", which begins with digits.
bool TakeMonth(string_view* in, StampText* stamp) {
  string_view rest = *in;
  size_t n = 0;
  while (n < rest.size() && n < kLongestWord && (IsLetter(rest[n]) || IsDigit(rest[n]))) ++n;
  const string_view word = rest.substr(0, n);
  rest.remove_prefix(n);
  if (n < 2) return false;
  TakeChar(&rest, '.');
  stamp->month = MonthNumber(word);
  // An unknown word may be a month name of another language.
  if (stamp->month == 0 && (n < 3 || IsDigit(word.front()) || IsDigit(word.back()))) return false;
  *in = rest;
  return true;
}

// "2026-11-22", with slashes or points, then T, blank or underscore, then the clock.
bool TakeIso(string_view* in, StampText* stamp) {
  string_view rest = *in;
  stamp->year = TakeNumber(&rest, 4, 4);
  char first, second, middle;
  if (!TakeOneOf(&rest, "-/.", &first)) return false;
  stamp->month = TakeNumber(&rest, 2, 2);
  if (!TakeOneOf(&rest, "-/.", &second) || first != second) return false;
  stamp->day = TakeNumber(&rest, 2, 2);
  if (stamp->year < 1 || stamp->month < 1 || stamp->month > 12 || stamp->day < 1) return false;
  if (!TakeOneOf(&rest, "Tt \t_", &middle)) return false;
  if (!TakeClock(&rest, stamp)) return false;
  *in = rest;
  return true;
}

// "2026年11月22日 00:15:04".
bool TakeNamedUnits(string_view* in, StampText* stamp) {
  string_view rest = *in;
  stamp->year = TakeNumber(&rest, 4, 4);
  if (!IsYear(stamp->year) || !absl::ConsumePrefix(&rest, "\xE5\xB9\xB4")) return false;
  TakeBlanks(&rest);
  stamp->month = TakeNumber(&rest, 1, 2);
  if (stamp->month < 1 || stamp->month > 12 || !absl::ConsumePrefix(&rest, "\xE6\x9C\x88")) {
    return false;
  }
  TakeBlanks(&rest);
  stamp->day = TakeNumber(&rest, 1, 2);
  if (stamp->day < 1 || !absl::ConsumePrefix(&rest, "\xE6\x97\xA5")) return false;
  TakeBlanks(&rest);
  if (!TakeClock(&rest, stamp)) return false;
  *in = rest;
  return true;
}

// "11/22/2026 00:15:04" and "22/11/2026": which is which shows where one is beyond 12; else the
// date stays open.
bool TakeSlashes(string_view* in, StampText* stamp) {
  string_view rest = *in;
  const int first = TakeNumber(&rest, 1, 2);
  if (first < 1 || !TakeChar(&rest, '/')) return false;
  const int second = TakeNumber(&rest, 1, 2);
  if (second < 1 || !TakeChar(&rest, '/')) return false;
  stamp->year = TakeNumber(&rest, 4, 4);
  if (!IsYear(stamp->year) || (!TakeChar(&rest, ',') && rest.empty()) || !TakeBlanks(&rest)) {
    return false;
  }
  if (!TakeClock(&rest, stamp)) return false;
  const bool day_first = first > 12 || first == second;
  stamp->day = day_first ? first : second;
  stamp->month = day_first ? second : second > 12 ? first : 0;
  if (stamp->month > 12) return false;
  *in = rest;
  return true;
}

// "20261122T001504".
bool TakeCompact(string_view* in, StampText* stamp) {
  const string_view text = *in;
  if (text.size() < 15 || (text[8] != 'T' && text[8] != ' ')) return false;
  string_view parts[] = {text.substr(0, 4), text.substr(4, 2),  text.substr(6, 2),
                         text.substr(9, 2), text.substr(11, 2), text.substr(13, 2)};
  int* const fields[] = {&stamp->year, &stamp->month,  &stamp->day,
                         &stamp->hour, &stamp->minute, &stamp->second};
  for (size_t i = 0; i < std::size(parts); ++i) {
    *fields[i] = TakeNumber(&parts[i], parts[i].size(), parts[i].size());
    if (*fields[i] < 0) return false;
  }
  if (!IsYear(stamp->year) || stamp->month < 1 || stamp->month > 12 || stamp->day < 1 ||
      stamp->hour > 23 || stamp->minute > 59 || stamp->second > 60) {
    return false;
  }
  string_view rest = text.substr(15);
  if (!rest.empty() && IsDigit(rest.front())) return false;
  stamp->fraction = TakeFraction(&rest);
  *in = rest;
  return true;
}

// "1795306504.123456", or in milli-, micro- or nanoseconds: 13, 16 or 19 digits.
bool TakeUnix(string_view* in, StampText* stamp) {
  int64_t count = 0;
  size_t n = 0;
  while (n < in->size() && n < 19 && IsDigit((*in)[n])) {
    if (n == 18 && count > 199'999'999'999'999'999) return false;  // beyond what is counted in
    count = count * 10 + ((*in)[n++] - '0');
  }
  string_view rest = in->substr(n);
  if (!rest.empty() && IsDigit(rest.front())) return false;
  if (n == 10 && count >= 1'000'000'000) {
    stamp->instant = absl::FromUnixSeconds(count) + TakeFraction(&rest);
  } else if (n == 13 && count >= 1'000'000'000'000) {
    stamp->instant = absl::FromUnixMillis(count);
  } else if (n == 16 && count >= 1'000'000'000'000'000) {
    stamp->instant = absl::FromUnixMicros(count);
  } else if (n == 19 && count >= 1'000'000'000'000'000'000) {
    stamp->instant = absl::FromUnixNanos(count);
  } else {
    return false;
  }
  *in = rest;
  return true;
}

// "@40000000" and 16 more hexadecimal digits: seconds of TAI since 1970, which a multilog counts
// ten ahead of UTC, and nanoseconds.
bool TakeTai64n(string_view* in, StampText* stamp) {
  constexpr size_t kDigits = 24;
  if (in->size() < 1 + kDigits || !absl::StartsWith(*in, "@4")) return false;
  uint64_t parts[2] = {0, 0};
  for (size_t i = 0; i < kDigits; ++i) {
    const char c = (*in)[1 + i];
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
    const auto digit = static_cast<uint64_t>(IsDigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    uint64_t& part = parts[i < 16 ? 0 : 1];
    part = part * 16 + digit;
  }
  constexpr uint64_t kEpoch = (uint64_t{1} << 62) + 10;
  if (parts[0] < kEpoch || parts[0] - kEpoch > 7'258'118'400 || parts[1] > 999'999'999)
    return false;
  stamp->instant = absl::FromUnixSeconds(static_cast<int64_t>(parts[0] - kEpoch)) +
                   absl::Nanoseconds(static_cast<int64_t>(parts[1]));
  in->remove_prefix(1 + kDigits);
  return true;
}

// "22 Nov 2026 00:15:04", "22/Nov/2026:00:15:04", "22-Nov-2026 ..", "22.11.2026 ..", "22 mars ..".
bool TakeDayFirst(string_view* in, StampText* stamp) {
  string_view rest = *in;
  stamp->day = TakeNumber(&rest, 1, 2);
  if (stamp->day < 1 || rest.empty()) return false;
  const char separator = rest.front();
  if (separator == ' ') {
    TakeBlanks(&rest);
  } else if (separator == '.') {
    rest.remove_prefix(1);
    TakeBlanks(&rest);  // "22. Nov 2026"
  } else if (separator == '/' || separator == '-') {
    rest.remove_prefix(1);
  } else {
    return false;
  }
  if (separator == '.' && !rest.empty() && IsDigit(rest.front())) {
    stamp->month = TakeNumber(&rest, 1, 2);
    if (stamp->month < 1 || stamp->month > 12 || !TakeChar(&rest, '.')) return false;
  } else if (!TakeMonth(&rest, stamp)) {
    return false;
  } else if (separator == ' ' || separator == '.') {
    if (!TakeBlanks(&rest)) return false;
  } else if (!TakeChar(&rest, separator)) {
    return false;
  }
  string_view with_year = rest;
  if (const int year = TakeNumber(&with_year, 4, 4); IsYear(year)) {
    stamp->year = year;
    rest = with_year;
    if (!TakeChar(&rest, ':') && !TakeBlanks(&rest)) return false;
  }
  if (!TakeClock(&rest, stamp)) return false;
  *in = rest;
  return true;
}

// "Nov 22 00:15:04", also with the year behind the day or at the end.
bool TakeMonthFirst(string_view* in, StampText* stamp) {
  string_view rest = *in;
  if (!TakeMonth(&rest, stamp) || !TakeBlanks(&rest)) return false;
  stamp->day = TakeNumber(&rest, 1, 2);
  if (stamp->day < 1) return false;
  TakeChar(&rest, '.');
  TakeChar(&rest, ',');
  if (!TakeBlanks(&rest)) return false;
  string_view with_year = rest;
  if (const int year = TakeNumber(&with_year, 4, 4); IsYear(year) && TakeBlanks(&with_year)) {
    stamp->year = year;
    rest = with_year;
  }
  if (!TakeClock(&rest, stamp)) return false;
  *in = rest;
  return true;
}

// "Sun ", "So. ", "Sun, " in front of a date.
bool TakeWeekday(string_view* in) {
  string_view rest = *in;
  const string_view word = TakeLetters(&rest);
  if (word.size() < 2 || word.size() > kLongestWord) return false;
  TakeChar(&rest, '.');
  TakeChar(&rest, ',');
  if (!TakeBlanks(&rest)) return false;
  *in = rest;
  return true;
}

// An unknown month name counts only where nothing but a date is possible.
bool TakeNamedDate(string_view* in, StampText* stamp) {
  string_view rest = *in;
  if (TakeMonthFirst(&rest, stamp)) {
    *in = rest;
    return true;
  }
  rest = *in;
  *stamp = StampText();
  if (!TakeWeekday(&rest)) return false;
  if (TakeIso(&rest, stamp)) {
    *in = rest;
    TakeZone(/*named=*/true, in, stamp);
    return true;
  }
  *stamp = StampText();
  if (!TakeMonthFirst(&rest, stamp) || stamp->month == 0) {
    *stamp = StampText();
    if (!TakeDayFirst(&rest, stamp) || stamp->month == 0) return false;
  }
  *in = rest;
  return true;
}

bool TakeDate(string_view* in, StampText* stamp) {
  if (in->empty()) return false;
  if (in->front() == '@') return TakeTai64n(in, stamp);
  using Taker = bool (*)(string_view*, StampText*);
  constexpr Taker kDigitsFirst[] = {TakeIso,      TakeCompact, TakeUnix,
                                    TakeDayFirst, TakeSlashes, TakeNamedUnits};
  if (!IsDigit(in->front())) return IsLetter(in->front()) && TakeNamedDate(in, stamp);
  for (const Taker take : kDigitsFirst) {
    *stamp = StampText();
    if (take(in, stamp)) return true;
  }
  // "2026 Nov 22 00:15:04", and "11月 22 00:15:04".
  *stamp = StampText();
  string_view rest = *in;
  const int year = TakeNumber(&rest, 4, 4);
  if (!IsYear(year) || !TakeBlanks(&rest)) {
    rest = *in;
  }
  if (!TakeMonthFirst(&rest, stamp) || stamp->month == 0) return false;
  if (stamp->year == 0 && IsYear(year)) stamp->year = year;
  *in = rest;
  return true;
}

}  // namespace

std::optional<StampText> TakeStampText(string_view* text) {
  string_view rest = *text;
  const bool bracket = TakeChar(&rest, '[');
  StampText stamp;
  if (!TakeDate(&rest, &stamp)) return std::nullopt;
  if (!stamp.instant) {
    if (!stamp.offset && stamp.zone.empty()) TakeZone(/*named=*/false, &rest, &stamp);
    if (stamp.year == 0 && TakeTrailingYear(&rest, &stamp) && !stamp.offset) {
      TakeZone(/*named=*/false, &rest, &stamp);
    }
    if (!DateExists(stamp)) return std::nullopt;
  }
  if (bracket && !TakeChar(&rest, ']')) return std::nullopt;
  if (!bracket && !rest.empty() && rest.front() == ':') rest.remove_prefix(1);
  if (!AtEnd(rest)) return std::nullopt;
  TakeBlanks(&rest);
  *text = rest;
  return stamp;
}

}  // namespace deferd
