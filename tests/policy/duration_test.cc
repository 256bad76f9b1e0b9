#include "policy/duration.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

TEST(Duration, ParsesUnits) {
  EXPECT_EQ(ParseDuration("90s").value(), absl::Seconds(90));
  EXPECT_EQ(ParseDuration("30m").value(), absl::Minutes(30));
  EXPECT_EQ(ParseDuration("1h").value(), absl::Hours(1));
  EXPECT_EQ(ParseDuration("7d").value(), absl::Hours(168));
  EXPECT_EQ(ParseDuration("1h30m").value(), absl::Minutes(90));
  EXPECT_EQ(ParseDuration("1d2h3m4s").value(), absl::Seconds(93784));
  EXPECT_EQ(ParseDuration("1d1s").value(), absl::Seconds(86401));
  EXPECT_EQ(ParseDuration("999999999s").value(), absl::Seconds(999999999));
}

TEST(Duration, RefusesEverythingElse) {
  for (const char* text : {"",    "h",    "1",       "60",          "1.5h",
                           "-1h", "+1h",  "1 h",     " 1h",         "1h ",
                           "1w",  "1ms",  "1H",      "1m1h",        "1h1h",
                           "h1",  "1h30", "forever", "1000000000d", "99999999999999999999h",
                           "1h\n"}) {
    EXPECT_THAT(ParseDuration(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a valid duration")))
        << text;
  }
}

TEST(Duration, NothingIsTooShort) {
  for (const char* text : {"0s", "0h0m", "00d"}) {
    EXPECT_THAT(ParseDuration(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is too short")))
        << text;
  }
}

TEST(Duration, FormatsTheShortestForm) {
  EXPECT_EQ(deferd::FormatDuration(absl::Seconds(90)), "90s");
  EXPECT_EQ(deferd::FormatDuration(absl::Minutes(1)), "1m");
  EXPECT_EQ(deferd::FormatDuration(absl::Hours(1)), "1h");
  EXPECT_EQ(deferd::FormatDuration(absl::Minutes(90)), "90m");
  EXPECT_EQ(deferd::FormatDuration(absl::Hours(24)), "1d");
  EXPECT_EQ(deferd::FormatDuration(absl::Hours(25)), "25h");
  EXPECT_EQ(deferd::FormatDuration(absl::Hours(24) + absl::Minutes(1)), "1d1m");
  EXPECT_EQ(deferd::FormatDuration(absl::Milliseconds(1999)), "1s");
  EXPECT_EQ(deferd::FormatDuration(absl::ZeroDuration()), "0s");
  EXPECT_EQ(deferd::FormatDuration(-absl::Hours(1)), "0s");
}

TEST(Duration, ComesBackFromItsForm) {
  for (int64_t seconds : {1, 59, 60, 61, 3599, 3600, 3661, 86399, 86400, 90061, 604800, 2592000}) {
    const absl::Duration duration = absl::Seconds(seconds);
    EXPECT_EQ(ParseDuration(deferd::FormatDuration(duration)).value(), duration) << seconds;
  }
}

}  // namespace
}  // namespace deferd
