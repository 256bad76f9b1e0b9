#include "limiter/intake/stamp.h"

#include <cstring>

namespace deferd {
namespace {

// A line is written just after its stamp was taken; a stamp in minutes is the minute's beginning.
constexpr absl::Duration kWrittenLate = absl::Minutes(10);
constexpr absl::Duration kWrittenEarly = absl::Minutes(1);
// Lines of several processes may be out of order.
constexpr absl::Duration kDisorder = absl::Minutes(2);

// The `n` digits at `text[at]`, or -1.
int Digits(absl::string_view text, size_t at, size_t n) {
  if (text.size() < at + n) return -1;
  int value = 0;
  for (size_t i = at; i < at + n; ++i) {
    const unsigned digit = static_cast<unsigned char>(text[i]) - '0';
    if (digit > 9) return -1;
    value = value * 10 + static_cast<int>(digit);
  }
  return value;
}

bool Has(absl::string_view text, size_t at, char c) { return at < text.size() && text[at] == c; }

bool AtEnd(absl::string_view text, size_t at) { return at == text.size() || text[at] == ' '; }

// ":04" and an optional ".247" at `*at`.
std::optional<absl::Duration> Seconds(absl::string_view text, size_t* at) {
  const int second = Digits(text, *at + 1, 2);
  if (!Has(text, *at, ':') || second < 0 || second > 59) return std::nullopt;
  *at += 3;
  int64_t nanos = 0;
  if (Has(text, *at, '.') && Digits(text, *at + 1, 1) >= 0) {
    ++*at;
    for (int64_t unit = 100'000'000; Digits(text, *at, 1) >= 0; ++*at, unit /= 10) {
      nanos += unit * Digits(text, *at, 1);
    }
  }
  return absl::Seconds(second) + absl::Nanoseconds(nanos);
}

// "+01:00" or "+0100" at `*at`.
std::optional<absl::Duration> Offset(absl::string_view text, size_t* at) {
  if (!Has(text, *at, '+') && !Has(text, *at, '-')) return std::nullopt;
  const bool west = text[*at] == '-';
  const size_t colon = Has(text, *at + 3, ':') ? 1 : 0;
  const int hours = Digits(text, *at + 1, 2);
  const int minutes = Digits(text, *at + 3 + colon, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
  *at += 5 + colon;
  const absl::Duration offset = absl::Hours(hours) + absl::Minutes(minutes);
  return west ? -offset : offset;
}

// "00:15" at `at`.
bool HourMinute(absl::string_view text, size_t at, int* hour, int* minute) {
  *hour = Digits(text, at, 2);
  *minute = Digits(text, at + 3, 2);
  return Has(text, at + 2, ':') && *hour >= 0 && *hour < 24 && *minute >= 0 && *minute < 60;
}

std::optional<absl::CivilSecond> Existing(int year, int month, int day, int hour, int minute) {
  const absl::CivilSecond civil(year, month, day, hour, minute, 0);
  if (civil.year() != year || civil.month() != month || civil.day() != day) return std::nullopt;
  return civil;
}

// "2026-11-22?00:15" at the front.
std::optional<absl::CivilSecond> DateMinute(absl::string_view text) {
  const int year = Digits(text, 0, 4);
  const int month = Digits(text, 5, 2);
  const int day = Digits(text, 8, 2);
  int hour, minute;
  if (year < 1 || month < 0 || day < 0 || text[4] != '-' || text[7] != '-' ||
      !HourMinute(text, 11, &hour, &minute)) {
    return std::nullopt;
  }
  return Existing(year, month, day, hour, minute);
}

// 1..12, or 0.
int Month(absl::string_view text) {
  constexpr char kEnglishMonths[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() < 3) return 0;
  for (int i = 0; i < 12; ++i) {
    if (std::memcmp(text.data(), kEnglishMonths + 3 * i, 3) == 0) return i + 1;
  }
  return 0;
}

void RemoveStamp(absl::string_view* text, size_t size) {
  text->remove_prefix(size < text->size() ? size + 1 : size);
}

}  // namespace

absl::Time StampReader::Local(absl::CivilSecond civil) const {
  const absl::TimeZone::TimeInfo info = zone_.At(civil);
  if (info.kind != absl::TimeZone::TimeInfo::REPEATED) return info.pre;
  if (info.post > written_before_ + kWrittenEarly) return info.pre;
  if (info.pre < written_after_ - kWrittenLate) return info.post;
  if (previous_ == absl::InfinitePast()) return info.pre;
  if (info.pre < previous_ - kDisorder) return info.post;
  return absl::AbsDuration(info.post - previous_) < absl::AbsDuration(info.pre - previous_)
             ? info.post
             : info.pre;
}

bool StampReader::OccursTwice(absl::Time time) const {
  return zone_.At(absl::ToCivilSecond(time, zone_)).kind == absl::TimeZone::TimeInfo::REPEATED;
}

// The zone's abbreviation distinguishes the two readings of a repeated hour.
absl::Time StampReader::LocalNamed(absl::CivilSecond civil, absl::string_view zone) const {
  const absl::TimeZone::TimeInfo info = zone_.At(civil);
  if (!zone.empty() && info.kind == absl::TimeZone::TimeInfo::REPEATED) {
    for (const absl::Time reading : {info.pre, info.post}) {
      if (zone == zone_.At(reading).zone_abbr) return reading;
    }
  }
  return Local(civil);
}

std::optional<absl::Time> StampReader::Resolve(const StampText& stamp) {
  if (stamp.instant) return previous_ = *stamp.instant;
  if (stamp.certainty() == 0) return std::nullopt;
  int year = stamp.year;
  if (year == 0) {
    const std::optional<absl::Time> start =
        LatestYear(stamp.month, stamp.day, stamp.hour, stamp.minute);
    if (!start) return std::nullopt;
    year = static_cast<int>(absl::ToCivilSecond(*start, zone_).year());
  }
  const absl::CivilSecond civil(year, stamp.month, stamp.day, stamp.hour, stamp.minute, 0);
  const absl::Time start = stamp.offset
                               ? absl::FromCivil(civil, absl::UTCTimeZone()) - *stamp.offset
                               : LocalNamed(civil, stamp.zone);
  return previous_ = start + absl::Seconds(stamp.second) + stamp.fraction;
}

std::optional<absl::Time> StampReader::TakeExim(absl::string_view* text) {
  if (text->size() < kMinuteSize + 3 || (*text)[10] != ' ') return std::nullopt;
  const absl::string_view minute = text->substr(0, kMinuteSize);
  size_t at = kMinuteSize;
  const std::optional<absl::Duration> seconds = Seconds(*text, &at);
  if (!seconds || !AtEnd(*text, at)) return std::nullopt;

  size_t zone_at = at + 1;
  if (zone_at < text->size()) {
    const std::optional<absl::Duration> offset = Offset(*text, &zone_at);
    if (offset && AtEnd(*text, zone_at)) {
      const std::optional<absl::CivilSecond> civil = DateMinute(minute);
      if (!civil) return std::nullopt;
      previous_ = absl::FromCivil(*civil, absl::UTCTimeZone()) - *offset + *seconds;
      RemoveStamp(text, zone_at);
      return previous_;
    }
  }
  if (!exim_.Is(minute)) {
    const std::optional<absl::CivilSecond> civil = DateMinute(minute);
    if (!civil) return std::nullopt;
    const absl::Time start = Local(*civil);
    exim_.Set(OccursTwice(start) ? "" : minute, start);
  }
  previous_ = exim_.start + *seconds;
  RemoveStamp(text, at);
  return previous_;
}

std::optional<absl::Time> StampReader::TakeSyslog(absl::string_view* text) {
  if (text->empty()) return std::nullopt;
  return (*text)[0] >= '0' && (*text)[0] <= '9' ? TakeRfc3339(text) : TakeTraditional(text);
}

std::optional<absl::Time> StampReader::TakeRfc3339(absl::string_view* text) {
  if (text->size() < kMinuteSize + 3 || (*text)[10] != 'T') return std::nullopt;
  const absl::string_view minute = text->substr(0, kMinuteSize);
  size_t at = kMinuteSize;
  const std::optional<absl::Duration> seconds = Seconds(*text, &at);
  if (!seconds) return std::nullopt;
  std::optional<absl::Duration> offset;
  if (Has(*text, at, 'Z')) {
    offset = absl::ZeroDuration();
    ++at;
  } else {
    offset = Offset(*text, &at);
  }
  const std::optional<absl::CivilSecond> civil = DateMinute(minute);
  if (!civil || !AtEnd(*text, at)) return std::nullopt;
  previous_ =
      *seconds + (offset ? absl::FromCivil(*civil, absl::UTCTimeZone()) - *offset : Local(*civil));
  RemoveStamp(text, at);
  return previous_;
}

std::optional<absl::Time> StampReader::TakeTraditional(absl::string_view* text) {
  const int month = Month(*text);
  if (month == 0 || !Has(*text, 3, ' ')) return std::nullopt;
  size_t at = 4;
  if (Has(*text, at, ' ')) ++at;
  const size_t day_size = Digits(*text, at, 2) >= 0 ? 2 : 1;
  const int day = Digits(*text, at, day_size);
  at += day_size;
  int hour, minute_of_hour;
  if (day < 1 || !Has(*text, at, ' ') || !HourMinute(*text, at + 1, &hour, &minute_of_hour)) {
    return std::nullopt;
  }
  at += 6;
  const absl::string_view minute = text->substr(0, at);
  const std::optional<absl::Duration> seconds = Seconds(*text, &at);
  if (!seconds || !AtEnd(*text, at)) return std::nullopt;
  if (!traditional_.Is(minute)) {
    const std::optional<absl::Time> start = LatestYear(month, day, hour, minute_of_hour);
    if (!start) return std::nullopt;
    traditional_.Set(OccursTwice(*start) ? "" : minute, *start);
  }
  previous_ = traditional_.start + *seconds;
  RemoveStamp(text, at);
  return previous_;
}

std::optional<absl::Time> StampReader::LatestYear(int month, int day, int hour, int minute) const {
  const bool bounded = latest_ != absl::InfiniteFuture();
  const absl::Time bound = bounded ? latest_ : previous_;
  const int last_year = bound == absl::InfinitePast()
                            ? 1970
                            : static_cast<int>(absl::ToCivilSecond(bound, zone_).year());
  // The longest gap between two leap years is eight years.
  for (int year = last_year; year >= last_year - 8; --year) {
    const std::optional<absl::CivilSecond> civil = Existing(year, month, day, hour, minute);
    if (!civil) continue;
    const absl::Time time = Local(*civil);
    if (!bounded || time <= latest_) return time;
  }
  return std::nullopt;
}

}  // namespace deferd
