#include "exporter/console/chart.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace deferd {
namespace {

int64_t ValueAt(const std::vector<int64_t>& list, size_t i) {
  return i < list.size() ? list[i] : 0;
}

int64_t Sum(const std::vector<int64_t>& list) {
  int64_t sum = 0;
  for (const int64_t one : list) sum += one;
  return sum;
}

// The next of 1, 2, 5, 10, 20, 50 ...: what an axis of counts ends at.
int64_t RoundUp(int64_t value) {
  for (int64_t unit = 1; unit < value * 10 + 10; unit *= 10) {
    for (const int64_t step : {1, 2, 5}) {
      if (step * unit >= value) return step * unit;
    }
  }
  return value;
}

std::string Decimal(double number) { return absl::StrFormat("%.1f", number); }

void Rect(Html* html, Literal css_class, double x, double y, double width, double height) {
  const Html::Scope rect = html->In("rect", {{"class", css_class.text()},
                                             {"x", Decimal(x)},
                                             {"y", Decimal(y)},
                                             {"width", Decimal(width)},
                                             {"height", Decimal(height)}});
}

void Line(Html* html, double x1, double y1, double x2, double y2) {
  const Html::Scope line = html->In("line", {{"class", "grid"},
                                             {"x1", Decimal(x1)},
                                             {"y1", Decimal(y1)},
                                             {"x2", Decimal(x2)},
                                             {"y2", Decimal(y2)}});
}

void Label(Html* html, Literal anchor, double x, double y, absl::string_view text) {
  html->Put("text", text, {{"x", Decimal(x)}, {"y", Decimal(y)}, {"text-anchor", anchor.text()}});
}

}  // namespace

size_t Series::size() const { return std::max({delivered.size(), deferred.size(), failed.size()}); }

int64_t Series::bad(size_t step) const { return ValueAt(deferred, step) + ValueAt(failed, step); }

void WriteSparkline(Html* html, const Series& series) {
  constexpr double kBar = 3, kHeight = 20;
  const size_t size = series.size();
  int64_t most = 1, bad = 0;
  for (size_t i = 0; i < size; ++i) {
    most = std::max(most, series.bad(i));
    bad += series.bad(i);
  }
  const Html::Scope svg =
      html->In("svg", {{"class", "spark"},
                       {"role", "img"},
                       {"viewBox", absl::StrCat("0 0 ", static_cast<int64_t>(kBar) * size, " 20")},
                       {"aria-label", absl::StrCat(bad, " failed or deferred in the last hour")}});
  for (size_t i = 0; i < size; ++i) {
    if (series.bad(i) == 0) continue;
    const double height =
        std::max(2.0, kHeight * static_cast<double>(series.bad(i)) / static_cast<double>(most));
    Rect(html, "bad", kBar * static_cast<double>(i), kHeight - height, kBar - 1, height);
  }
  Rect(html, "base", 0, kHeight - 0.5, kBar * static_cast<double>(size), 0.5);
}

void WriteDayPlot(Html* html, const Series& series, absl::Time since, absl::Time until,
                  absl::TimeZone zone) {
  constexpr double kLeft = 48, kTop = 12, kPlot = 140, kWidth = 720;
  const size_t size = series.size();
  int64_t most = 0;
  for (size_t i = 0; i < size; ++i)
    most = std::max(most, ValueAt(series.delivered, i) + series.bad(i));
  const int64_t top = RoundUp(std::max<int64_t>(most, 1));
  const auto height = [&](int64_t count) {
    return kPlot * static_cast<double>(count) / static_cast<double>(top);
  };
  const Html::Scope svg = html->In(
      "svg",
      {{"class", "plot"},
       {"role", "img"},
       {"viewBox", "0 0 780 180"},
       {"aria-label", absl::StrCat(Sum(series.delivered), " delivered, ", Sum(series.deferred),
                                   " deferred and ", Sum(series.failed), " failed attempts")}});
  Line(html, kLeft, kTop, kLeft + kWidth, kTop);
  Line(html, kLeft, kTop + kPlot, kLeft + kWidth, kTop + kPlot);
  Label(html, "end", kLeft - 8, kTop + 4, absl::StrCat(top));
  Label(html, "end", kLeft - 8, kTop + kPlot + 4, "0");
  const double bar = size == 0 ? 0 : kWidth / static_cast<double>(size);
  for (size_t i = 0; i < size; ++i) {
    const double x = kLeft + bar * static_cast<double>(i) + 1;
    double y = kTop + kPlot;
    const auto stack = [&](Literal css_class, int64_t count) {
      if (count == 0) return;
      y -= height(count);
      Rect(html, css_class, x, y, bar - 2, height(count));
    };
    stack("good", ValueAt(series.delivered, i));
    stack("waiting", ValueAt(series.deferred, i));
    stack("bad", ValueAt(series.failed, i));
  }
  constexpr int kTimes = 4;
  for (int i = 0; i <= kTimes; ++i) {
    const absl::Time time = since + (until - since) * i / kTimes;
    Label(html,
          i == 0        ? Literal("start")
          : i == kTimes ? Literal("end")
                        : Literal("middle"),
          kLeft + kWidth * i / kTimes, kTop + kPlot + 20, absl::FormatTime("%H:%M", time, zone));
  }
}

void WriteGauge(Html* html, absl::string_view name, int64_t value, int64_t limit,
                absl::string_view unit) {
  const Html::Scope gauge = html->InAs("div", "gauge");
  {
    const Html::Scope head = html->InAs("div", "gauge-head");
    html->Put("span", name);
    const Html::Scope numbers = html->InAs("span", "number");
    html->Put("strong", absl::StrCat(value, unit));
    html->Text(absl::StrCat(" of ", limit, unit));
  }
  // A meter that is full at the limit: beyond it there is nothing more to tell.
  const double part =
      limit <= 0 ? 1 : std::min(1.0, static_cast<double>(value) / static_cast<double>(limit));
  const Html::Scope svg =
      html->In("svg", {{"class", "meter"},
                       {"role", "img"},
                       {"viewBox", "0 0 100 6"},
                       {"preserveAspectRatio", "none"},
                       {"aria-label", absl::StrCat(name, ": ", value, unit, " of ", limit, unit)}});
  Rect(html, "track", 0, 0, 100, 6);
  Rect(html,
       part >= 1      ? Literal("bad")
       : part >= 0.75 ? Literal("waiting")
                      : Literal("good"),
       0, 0, 100 * part, 6);
}

}  // namespace deferd
