#include "limiter/intake/stamp.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "tests/limiter/intake/log_text.h"

namespace deferd {
namespace {

std::string Utc(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E*S", time, absl::UTCTimeZone());
}

// "TIME|what is left", or "none".
std::string Exim(StampReader* stamps, absl::string_view text) {
  const std::optional<absl::Time> time = stamps->TakeExim(&text);
  return time ? Utc(*time) + "|" + std::string(text) : "none";
}

std::string Syslog(StampReader* stamps, absl::string_view text) {
  const std::optional<absl::Time> time = stamps->TakeSyslog(&text);
  return time ? Utc(*time) + "|" + std::string(text) : "none";
}

absl::Time Time(const std::string& text) {
  absl::Time time;
  std::string error;
  return absl::ParseTime("%Y-%m-%d %H:%M:%S", text, &time, &error) ? time : absl::InfinitePast();
}

TEST(Stamp, EximForms) {
  struct {
    const char* text;
    const char* want;
  } const kCases[] = {
      {"2026-11-22 00:15:04 rest", "2026-11-22 00:15:04|rest"},
      {"2026-11-22 00:15:04.247 rest", "2026-11-22 00:15:04.247|rest"},
      {"2026-11-22 00:15:04 +0100 rest", "2026-11-21 23:15:04|rest"},
      {"2026-11-22 00:15:04 -0330 rest", "2026-11-22 03:45:04|rest"},
      {"2026-11-22 00:15:04.5 +0100 rest", "2026-11-21 23:15:04.5|rest"},
      {"2026-11-22 00:15:04.123456789 rest", "2026-11-22 00:15:04.123456789|rest"},
      {"2026-11-22 00:15:04 +01 rest", "2026-11-22 00:15:04|+01 rest"},
      {"2026-11-22 00:15:04 +0199 rest", "2026-11-22 00:15:04|+0199 rest"},
      {"2026-11-22 00:15:04", "2026-11-22 00:15:04|"},
      {"2026-11-22 00:15:04 ", "2026-11-22 00:15:04|"},
      {"1970-01-01 00:00:00 rest", "1970-01-01 00:00:00|rest"},
      {"2099-12-31 23:59:59 rest", "2099-12-31 23:59:59|rest"},
      {"2024-02-29 12:00:00 rest", "2024-02-29 12:00:00|rest"},
      {"2026-02-29 12:00:00 rest", "none"},
      {"2026-13-01 12:00:00 rest", "none"},
      {"2026-00-01 12:00:00 rest", "none"},
      {"2026-11-31 12:00:00 rest", "none"},
      {"2026-11-22 24:00:00 rest", "none"},
      {"2026-11-22 23:60:00 rest", "none"},
      {"2026-11-22 23:59:60 rest", "none"},
      {"2026-11-22 23:59:5 rest", "none"},
      {"2026-11-22T23:59:50 rest", "none"},
      {"2026-11-22 23:59:50x rest", "none"},
      {"2026/11/22 23:59:50 rest", "none"},
      {"20261122 235950", "none"},
      {"", "none"},
  };
  for (const auto& c : kCases) {
    StampReader stamps(absl::UTCTimeZone());
    EXPECT_EQ(Exim(&stamps, c.text), c.want) << c.text;
    EXPECT_EQ(Exim(&stamps, c.text), c.want) << c.text << " (again)";
  }
}

TEST(Stamp, NoStampLeavesTheText) {
  StampReader stamps(absl::UTCTimeZone());
  absl::string_view text = "2026-02-30 12:00:00 x";
  EXPECT_FALSE(stamps.TakeExim(&text));
  EXPECT_EQ(text, "2026-02-30 12:00:00 x");
}

TEST(Stamp, LocalTimeIsOfTheZone) {
  StampReader stamps(Zone("Europe/Berlin"));
  EXPECT_EQ(Exim(&stamps, "2026-01-22 12:00:00 x"), "2026-01-22 11:00:00|x");
  EXPECT_EQ(Exim(&stamps, "2026-07-22 12:00:00 x"), "2026-07-22 10:00:00|x");
}

TEST(Stamp, RepeatedHourIsReadNearestToTheLineBefore) {
  StampReader stamps(Zone("Europe/Berlin"));  // 03:00 CEST becomes 02:00 CET
  EXPECT_EQ(Exim(&stamps, "2026-10-25 01:59:59 x"), "2026-10-24 23:59:59|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:00:01 x"), "2026-10-25 00:00:01|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:30:00 x"), "2026-10-25 00:30:00|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:59:59 x"), "2026-10-25 00:59:59|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:00:02 x"), "2026-10-25 01:00:02|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:20:00 x"), "2026-10-25 01:20:00|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:40:00 x"), "2026-10-25 01:40:00|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 03:00:00 x"), "2026-10-25 02:00:00|x");
}

TEST(Stamp, RepeatedHourFromTheOtherSide) {
  StampReader stamps(Zone("Europe/Berlin"));
  EXPECT_EQ(Exim(&stamps, "2026-10-25 03:00:01 x"), "2026-10-25 02:00:01|x");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:59:59 x"), "2026-10-25 01:59:59|x");  // a late line
}

TEST(Stamp, SyslogStampWithZoneDecidesTheRepeatedHour) {
  StampReader stamps(Zone("Europe/Berlin"));
  Syslog(&stamps, "2026-10-25T02:10:00+01:00 h");
  EXPECT_EQ(Exim(&stamps, "2026-10-25 02:10:00 x"), "2026-10-25 01:10:00|x");
}

TEST(Stamp, HourThatNeverWasTakesTheOffsetBefore) {
  StampReader stamps(Zone("Europe/Berlin"));  // 02:00 CET becomes 03:00 CEST
  EXPECT_EQ(Exim(&stamps, "2026-03-29 01:59:59 x"), "2026-03-29 00:59:59|x");
  EXPECT_EQ(Exim(&stamps, "2026-03-29 02:30:00 x"), "2026-03-29 01:30:00|x");
  EXPECT_EQ(Exim(&stamps, "2026-03-29 03:30:00 x"), "2026-03-29 01:30:00|x");
}

TEST(Stamp, SyslogForms) {
  struct {
    const char* text;
    const char* want;
  } const kCases[] = {
      {"Nov 21 19:24:40 host", "2026-11-21 19:24:40|host"},
      {"Nov  1 19:24:40 host", "2026-11-01 19:24:40|host"},
      {"Nov 1 19:24:40 host", "2026-11-01 19:24:40|host"},
      {"Nov 01 19:24:40 host", "2026-11-01 19:24:40|host"},
      {"2026-11-21T19:24:39.361988-05:00 host", "2026-11-22 00:24:39.361988|host"},
      {"2026-11-21T19:24:39+00:00 host", "2026-11-21 19:24:39|host"},
      {"2026-11-21T19:24:39Z host", "2026-11-21 19:24:39|host"},
      {"2026-11-21T19:24:39.5Z host", "2026-11-21 19:24:39.5|host"},
      {"2026-11-21T19:24:39 host", "2026-11-21 19:24:39|host"},
      {"2026-11-31T19:24:39Z host", "none"},
      {"2026-11-21T19:24:39+25:00 host", "none"},
      {"Nov 31 19:24:40 host", "none"},
      {"Nov 0 19:24:40 host", "none"},
      {"Nox 21 19:24:40 host", "none"},
      {"Nov 21 19:24 host", "none"},
      {"", "none"},
  };
  for (const auto& c : kCases) {
    StampReader stamps(absl::UTCTimeZone());
    stamps.set_latest(Time("2026-12-05 00:00:00"));
    EXPECT_EQ(Syslog(&stamps, c.text), c.want) << c.text;
    EXPECT_EQ(Syslog(&stamps, c.text), c.want) << c.text << " (again)";
  }
}

TEST(Stamp, YearIsTheLatestNotAfterTheBound) {
  StampReader stamps(absl::UTCTimeZone());
  stamps.set_latest(Time("2027-01-02 00:10:00"));
  EXPECT_EQ(Syslog(&stamps, "Dec 31 23:59:59 h"), "2026-12-31 23:59:59|h");
  EXPECT_EQ(Syslog(&stamps, "Jan  1 00:00:00 h"), "2027-01-01 00:00:00|h");
  EXPECT_EQ(Syslog(&stamps, "Jan  2 00:10:00 h"), "2027-01-02 00:10:00|h");
  EXPECT_EQ(Syslog(&stamps, "Jan  2 00:11:00 h"), "2026-01-02 00:11:00|h");
  EXPECT_EQ(Syslog(&stamps, "Feb 29 12:00:00 h"), "2024-02-29 12:00:00|h");
}

TEST(Stamp, YearMovesWithTheBound) {
  StampReader stamps(absl::UTCTimeZone());
  stamps.set_latest(Time("2026-12-31 12:00:00"));
  EXPECT_EQ(Syslog(&stamps, "Dec 31 12:00:30 h"), "2026-12-31 12:00:30|h");
  EXPECT_EQ(Syslog(&stamps, "Jan  1 00:00:00 h"), "2026-01-01 00:00:00|h");
  stamps.set_latest(Time("2027-01-01 12:00:00"));
  EXPECT_EQ(Syslog(&stamps, "Jan  1 00:00:00 h"), "2027-01-01 00:00:00|h");
}

TEST(Stamp, WithoutABoundTheYearOfTheLineBefore) {
  StampReader stamps(absl::UTCTimeZone());
  EXPECT_EQ(Syslog(&stamps, "2025-03-01T00:00:00Z h"), "2025-03-01 00:00:00|h");
  EXPECT_EQ(Syslog(&stamps, "Dec 31 23:59:59 h"), "2025-12-31 23:59:59|h");
}

}  // namespace
}  // namespace deferd
