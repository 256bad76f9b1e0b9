#include "exporter/exposition.h"

#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

TEST(Exposition, IsWhatTheClientPrefers) {
  const std::pair<const char*, Exposition> kCases[] = {
      {"", Exposition::kText},
      {"*/*", Exposition::kText},
      {"text/plain", Exposition::kText},
      {"application/openmetrics-text", Exposition::kOpenMetrics},
      {"Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", Exposition::kOpenMetrics},
      // Prometheus 2.42
      {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
       "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       Exposition::kOpenMetrics},
      {"text/plain;q=0.9, application/openmetrics-text;q=0.2", Exposition::kText},
      {"application/openmetrics-text;q=0", Exposition::kText},
      {"application/openmetrics-text;q=much", Exposition::kText},
      {"text/html,;,", Exposition::kText}};
  for (const auto& [accept, wanted] : kCases) EXPECT_EQ(WantedExposition(accept), wanted) << accept;
}

TEST(Exposition, OpenMetricsNamesFamiliesAndEnds) {
  EXPECT_EQ(ToOpenMetrics("# HELP a_total Of \"a\" that count.\n"
                          "# TYPE a_total counter\n"
                          "a_total{x=\"# TYPE b_total\"} 3\n"
                          "# HELP a_totals Other.\n"
                          "# TYPE a_totals gauge\n"
                          "a_totals 4\n"
                          "# TYPE h histogram\n"
                          "h_bucket{le=\"+Inf\"} 1\n"),
            "# HELP a Of \\\"a\\\" that count.\n"
            "# TYPE a counter\n"
            "a_total{x=\"# TYPE b_total\"} 3\n"
            "# HELP a_totals Other.\n"
            "# TYPE a_totals gauge\n"
            "a_totals 4\n"
            "# TYPE h histogram\n"
            "h_bucket{le=\"+Inf\"} 1\n"
            "# EOF\n");
  EXPECT_EQ(ToOpenMetrics(""), "# EOF\n");
}

}  // namespace
}  // namespace deferd
