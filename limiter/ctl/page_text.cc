#include "limiter/ctl/page_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

struct ShownTimes {
  absl::TimeZone zone = absl::UTCTimeZone();
  absl::Time now = absl::UnixEpoch();
};

ShownTimes& Shown() {
  static ShownTimes shown;
  return shown;
}

std::string Formatted(const std::string& utc, const char* format) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, utc, &time, &error)) return utc;
  return absl::FormatTime(format, time, Shown().zone);
}

}  // namespace

void ShowTimesIn(absl::TimeZone zone, absl::Time now) { Shown() = {zone, now}; }

std::string ShortTime(const std::string& utc) { return Formatted(utc, "%Y-%m-%d %H:%M:%S"); }

std::string ZonedTime(const std::string& utc) { return Formatted(utc, "%Y-%m-%d %H:%M:%S %Z"); }

std::string ZonedMinute(const std::string& utc) { return Formatted(utc, "%Y-%m-%d %H:%M %Z"); }

std::string PageZone() { return absl::FormatTime("%Z", Shown().now, Shown().zone); }

std::string MeantTime(const std::string& text) {
  absl::Time time;
  std::string error;
  for (const char* format :
       {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, Shown().zone, &time, &error)) return FormatUtc(time);
  }
  return text;
}

std::string Wrapped(const std::string& label, const std::string& text) {
  std::string out;
  std::string line = label;
  size_t begin = 0;
  const std::string indent(label.size(), ' ');
  bool fresh = true;
  while (begin < text.size()) {
    size_t end = std::min(text.find(' ', begin), text.size());
    // A word longer than a line is broken, between characters.
    const size_t room = kPageWidth - label.size();
    const size_t longest = CutUtf8(absl::string_view(text).substr(begin, end - begin), room).size();
    const bool broken = begin + longest < end && longest > 0;
    if (broken) end = begin + longest;
    const std::string word = text.substr(begin, end - begin);
    if (!fresh && line.size() + 1 + word.size() > kPageWidth) {
      absl::StrAppend(&out, line, "\n");
      line = indent;
      fresh = true;
    }
    absl::StrAppend(&line, fresh ? "" : " ", word);
    fresh = false;
    begin = broken ? end : end + 1;
    if (broken && begin < text.size()) {
      absl::StrAppend(&out, line, "\n");
      line = indent;
      fresh = true;
    }
  }
  absl::StrAppend(&out, line, "\n");
  return out;
}

std::string Table(std::vector<std::vector<std::string>> rows) {
  // One long name must not push the other columns off every row.
  constexpr size_t kWidest = 44;
  for (auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      if (row[i].size() > kWidest) row[i] = absl::StrCat(CutUtf8(row[i], kWidest - 3), "...");
    }
  }
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i]);
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    if (line.size() > kPageWidth) line = absl::StrCat(CutUtf8(line, kPageWidth - 3), "...");
    absl::StrAppend(&out, line, "\n");
  }
  return out;
}

}  // namespace deferd
