#include "limiter/intake/stamp.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
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

// Lines that follow each other, as a server in the zone writes them in its night of the clock, and
// what they are in UTC.
struct Night {
  const char* zone;
  const char* before;
  const char* before_utc;
  const char* after;
  const char* after_utc;
};

// 02:20 and then 02:00 is not twenty minutes back, but forty on.
constexpr Night kSilentNights[] = {
    {"Europe/Berlin", "2026-10-25 02:20:00", "2026-10-25 00:20:00", "2026-10-25 02:00:00",
     "2026-10-25 01:00:00"},
    {"Europe/Berlin", "2026-10-25 02:59:00", "2026-10-25 00:59:00", "2026-10-25 02:55:00",
     "2026-10-25 01:55:00"},
    {"America/New_York", "2026-11-01 01:25:00", "2026-11-01 05:25:00", "2026-11-01 01:05:00",
     "2026-11-01 06:05:00"},
    // Half an hour, from 02:00 to 01:30.
    {"Australia/Lord_Howe", "2026-04-05 01:50:00", "2026-04-04 14:50:00", "2026-04-05 01:40:00",
     "2026-04-04 15:10:00"},
    // Out of order by seconds, as lines of several processes are.
    {"Europe/Berlin", "2026-10-25 02:20:30", "2026-10-25 00:20:30", "2026-10-25 02:19:10",
     "2026-10-25 00:19:10"},
};

// "Oct 25 02:20:00", of an Exim stamp.
std::string Traditional(const std::string& stamp) {
  absl::CivilSecond civil;
  EXPECT_TRUE(absl::ParseCivilTime(absl::StrReplaceAll(stamp, {{" ", "T"}}), &civil));
  return absl::FormatTime("%b %e %H:%M:%S", absl::FromCivil(civil, absl::UTCTimeZone()),
                          absl::UTCTimeZone());
}

TEST(Stamp, ALogDoesNotGoBackInARepeatedHour) {
  for (const Night& night : kSilentNights) {
    SCOPED_TRACE(absl::StrCat(night.zone, " ", night.after));
    StampReader exim(Zone(night.zone));
    EXPECT_EQ(Exim(&exim, absl::StrCat(night.before, " x")), absl::StrCat(night.before_utc, "|x"));
    EXPECT_EQ(Exim(&exim, absl::StrCat(night.after, " x")), absl::StrCat(night.after_utc, "|x"));
    StampReader syslog(Zone(night.zone));
    syslog.set_latest(Time("2026-12-31 00:00:00"));
    EXPECT_EQ(Syslog(&syslog, Traditional(night.before) + " x"),
              absl::StrCat(night.before_utc, "|x"));
    EXPECT_EQ(Syslog(&syslog, Traditional(night.after) + " x"),
              absl::StrCat(night.after_utc, "|x"));
  }
}

// What the log alone cannot tell: a hundred silent minutes or forty. The same minute, too.
TEST(Stamp, WhenALineWasWrittenTellsARepeatedHour) {
  struct {
    const char* zone;
    const char* before;
    const char* after;
    const char* first;
    const char* second;
  } const kCases[] = {
      {"Europe/Berlin", "2026-10-25 01:50:00", "2026-10-25 02:30:00", "2026-10-25 00:30:00",
       "2026-10-25 01:30:00"},
      {"Europe/Berlin", "2026-10-25 02:10:04", "2026-10-25 02:10:05", "2026-10-25 00:10:05",
       "2026-10-25 01:10:05"},
      {"America/New_York", "2026-11-01 00:40:00", "2026-11-01 01:50:00", "2026-11-01 05:50:00",
       "2026-11-01 06:50:00"},
      {"Australia/Lord_Howe", "2026-04-05 01:20:00", "2026-04-05 01:45:00", "2026-04-04 14:45:00",
       "2026-04-04 15:15:00"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(absl::StrCat(c.zone, " ", c.after));
    for (const char* utc : {c.first, c.second}) {
      const absl::Time written = Time(utc);
      StampReader exim(Zone(c.zone));
      Exim(&exim, absl::StrCat(c.before, " x"));
      exim.set_written(written - absl::Seconds(2), written + absl::Seconds(1));
      EXPECT_EQ(Exim(&exim, absl::StrCat(c.after, " x")), absl::StrCat(utc, "|x"));
      StampReader syslog(Zone(c.zone));
      syslog.set_latest(Time("2026-12-31 00:00:00"));
      Syslog(&syslog, Traditional(c.before) + " x");
      syslog.set_written(written - absl::Seconds(2), written + absl::Seconds(1));
      EXPECT_EQ(Syslog(&syslog, Traditional(c.after) + " x"), absl::StrCat(utc, "|x"));
    }
  }
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
