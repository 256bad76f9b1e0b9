// Small plots as SVG, made on the server: no script, no style attribute, colours by class.
//
// Each plot has a text for those who do not see it. Pure.

#ifndef DEFERD_EXPORTER_CONSOLE_CHART_H_
#define DEFERD_EXPORTER_CONSOLE_CHART_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/console/html.h"

namespace deferd {

// What was delivered, deferred and failed in equal steps of time, oldest first. All have the same
// length; a missing list is empty.
struct Series {
  std::vector<int64_t> delivered, deferred, failed;

  size_t size() const;
  int64_t bad(size_t step) const;
};

// The bad of the last hour in the size of a word.
void WriteSparkline(Html* html, const Series& series);

// Stacked bars from `since` to `until`, with an axis of counts and one of times in `zone`.
void WriteDayPlot(Html* html, const Series& series, absl::Time since, absl::Time until,
                  absl::TimeZone zone);

// How far `value` is to `limit`; beyond it the bar is full.
void WriteGauge(Html* html, absl::string_view name, int64_t value, int64_t limit,
                absl::string_view unit);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_CHART_H_
