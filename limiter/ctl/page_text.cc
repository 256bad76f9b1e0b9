#include "limiter/ctl/page_text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

struct ShownTimes {
  absl::TimeZone zone = absl::UTCTimeZone();
  absl::Time now = absl::UnixEpoch();
};

ShownTimes& Shown() {
  thread_local ShownTimes shown;
  return shown;
}

PageStyle& Style() {
  thread_local PageStyle style;
  return style;
}

bool ReadTime(const std::string& utc, absl::Time* time) {
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, utc, time, &error);
}

// The code point at the beginning of `text`, which it is moved past.
char32_t NextCodePoint(absl::string_view* text) {
  const auto first = static_cast<unsigned char>(text->front());
  const size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t point = size == 1 ? first : first & (0xFF >> (size + 1));
  for (size_t i = 1; i < size && i < text->size(); ++i) {
    point = (point << 6) | (static_cast<unsigned char>((*text)[i]) & 0x3F);
  }
  text->remove_prefix(std::min(size, text->size()));
  return point;
}

// Marks that combine with the letter before them take none; East Asian letters take two.
size_t ColumnsOf(char32_t point) {
  struct Range {
    char32_t from, to;
  };
  static constexpr Range kNone[] = {{0x300, 0x36F}, {0x200B, 0x200F}, {0xFE00, 0xFE0F}};
  static constexpr Range kTwo[] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                                   {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                                   {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
  const auto within = [point](const Range& one) { return point >= one.from && point <= one.to; };
  if (std::any_of(std::begin(kNone), std::end(kNone), within)) return 0;
  return std::any_of(std::begin(kTwo), std::end(kTwo), within) ? 2 : 1;
}

std::string Padded(const std::string& text, size_t columns, bool right) {
  const std::string spaces(columns - std::min(columns, Columns(text)), ' ');
  return right ? spaces + text : text + spaces;
}

std::string Formatted(const std::string& utc, const char* format) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, utc, &time, &error)) return utc;
  return absl::FormatTime(format, time, Shown().zone);
}

}  // namespace

void ShowPagesAs(PageStyle style) { Style() = style; }
const PageStyle& PagesAre() { return Style(); }

PageStyle StyleOfOutput(int fd) {
  if (isatty(fd) == 0) return {.width = PageStyle::kWhole};
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? absl::string_view() : absl::string_view(value);
  };
  PageStyle style = {.colour = set("NO_COLOR").empty() && set("TERM") != "dumb"};
  constexpr size_t kNarrowest = 40;
  winsize size = {};
  int columns = 0;
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) columns = size.ws_col;
  if (columns == 0 && !absl::SimpleAtoi(set("COLUMNS"), &columns)) columns = kPageWidth;
  style.width = std::max<size_t>(kNarrowest, std::max(columns, 0));
  return style;
}

void ShowTimesIn(absl::TimeZone zone, absl::Time now) { Shown() = {zone, now}; }

std::string ShortTime(const std::string& utc) { return Formatted(utc, "%Y-%m-%d %H:%M:%S"); }

std::string ZonedTime(const std::string& utc) { return Formatted(utc, "%Y-%m-%d %H:%M:%S %Z"); }

std::string ZonedMinute(const std::string& utc) { return Formatted(utc, "%Y-%m-%d %H:%M %Z"); }

std::string PageZone() { return absl::FormatTime("%Z", Shown().now, Shown().zone); }

std::string BriefTime(const std::string& utc) {
  absl::Time time;
  if (!ReadTime(utc, &time)) return utc;
  const absl::CivilDay day = absl::ToCivilDay(time, Shown().zone);
  const absl::CivilDay today = absl::ToCivilDay(Shown().now, Shown().zone);
  constexpr int kLongAgo = 300;
  if (std::abs(day - today) > kLongAgo) return absl::FormatTime("%Y-%m-%d", time, Shown().zone);
  return absl::FormatTime(day == today ? "%H:%M" : "%b %d %H:%M", time, Shown().zone);
}

std::string TimeLeft(const std::string& utc) {
  absl::Time time;
  if (!ReadTime(utc, &time) || time <= Shown().now) return "";
  const int64_t minutes = absl::ToInt64Minutes(absl::Ceil(time - Shown().now, absl::Minutes(1)));
  constexpr int64_t kHour = 60, kDay = 24 * kHour;
  if (minutes < kHour) return absl::StrCat(minutes, " min");
  if (minutes >= 2 * kDay) return absl::StrCat(minutes / kDay, " days");
  const int64_t rest = minutes % kHour;
  return absl::StrCat(minutes / kHour, " h", rest == 0 ? "" : absl::StrCat(" ", rest, " min"));
}

std::string MeantTime(const std::string& text) {
  absl::Time time;
  std::string error;
  for (const char* format :
       {"%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, Shown().zone, &time, &error)) return FormatUtc(time);
  }
  return text;
}

std::string Paint(absl::string_view text, Look look) {
  if (!Style().colour || look == Look::kPlain || text.empty()) return std::string(text);
  const char* const code = look == Look::kGood      ? "32"
                           : look == Look::kBad     ? "31;1"
                           : look == Look::kWaiting ? "33"
                           : look == Look::kFaint   ? "2"
                                                    : "1";
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

size_t Columns(absl::string_view text) {
  size_t columns = 0;
  while (!text.empty()) columns += ColumnsOf(NextCodePoint(&text));
  return columns;
}

std::string Fit(absl::string_view text, size_t columns) {
  if (Columns(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  absl::string_view rest = text;
  size_t used = 0, end = 0;
  while (!rest.empty()) {
    used += ColumnsOf(NextCodePoint(&rest));
    if (used > columns - 1) break;
    end = text.size() - rest.size();
  }
  return absl::StrCat(text.substr(0, end), "…");
}

std::string JoinFitting(const std::vector<std::string>& items, absl::string_view separator,
                        size_t columns) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string more = absl::StrCat(out, out.empty() ? "" : separator, items[i]);
    const size_t left = items.size() - i;
    const std::string rest =
        left > 1 ? absl::StrCat(separator, "+", left - 1, " more") : std::string();
    if (i > 0 && Columns(more) + Columns(rest) > columns) {
      return absl::StrCat(out, separator, "+", left, " more");
    }
    out = more;
  }
  return Columns(out) > columns ? Fit(out, columns) : out;
}

std::string Wrapped(const std::string& label, const std::string& text) {
  std::string out;
  std::string line = label;
  size_t begin = 0;
  const std::string indent(Columns(label), ' ');
  bool fresh = true;
  while (begin < text.size()) {
    size_t end = std::min(text.find(' ', begin), text.size());
    // A word longer than a line is broken, between characters.
    const size_t room = kPageWidth - Columns(label);
    const size_t longest = CutUtf8(absl::string_view(text).substr(begin, end - begin), room).size();
    const bool broken = begin + longest < end && longest > 0;
    if (broken) end = begin + longest;
    const std::string word = text.substr(begin, end - begin);
    if (!fresh && Columns(line) + 1 + Columns(word) > kPageWidth) {
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
  std::vector<Column> columns;
  for (const auto& row : rows) columns.resize(std::max(columns.size(), row.size()));
  for (Column& one : columns) one.least = kWidest;
  if (!columns.empty()) columns.back().least = 1;
  std::vector<Row> plain;
  for (auto& row : rows) {
    row.resize(columns.size());
    for (size_t i = 0; i + 1 < row.size() && Style().width != PageStyle::kWhole; ++i) {
      row[i] = Fit(row[i], kWidest);
    }
    plain.push_back({std::move(row)});
  }
  return Table(std::move(columns), plain);
}

std::string Table(std::vector<Column> columns, const std::vector<Row>& rows) {
  constexpr size_t kGap = 2;
  const size_t page = Style().width;
  std::vector<size_t> widths(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    widths[i] = Columns(columns[i].head);
    for (const Row& row : rows) widths[i] = std::max(widths[i], Columns(row.cells[i]));
  }
  std::vector<bool> shown(columns.size(), true);
  const auto total = [&](bool at_least) {
    size_t sum = 0;
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!shown[i] || widths[i] == 0) continue;
      const size_t least = columns[i].least == 0 ? widths[i] : columns[i].least;
      sum += kGap + (at_least ? std::min(widths[i], least) : widths[i]);
    }
    return sum == 0 ? 0 : sum - kGap;
  };
  const size_t last = columns.empty() ? 0 : columns.size() - 1;
  bool below = false;
  if (!columns.empty() && columns[last].below && total(/*at_least=*/false) > page) {
    below = true;
    shown[last] = false;
  }
  for (size_t i = columns.size(); i-- > 0 && total(/*at_least=*/true) > page;) {
    if (columns[i].optional) shown[i] = false;
  }
  while (total(/*at_least=*/false) > page) {  // the widest that may be cut
    size_t widest = columns.size();
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!shown[i] || columns[i].least == 0 || widths[i] <= columns[i].least) continue;
      if (widest == columns.size() || widths[i] > widths[widest]) widest = i;
    }
    if (widest == columns.size()) break;
    --widths[widest];
  }

  std::string out;
  const auto add = [&](const std::vector<std::string>& cells, Look look, bool head) {
    std::string line;
    size_t spaces = 0;  // not yet written: none stand at a line's end
    for (size_t i = 0; i < columns.size(); ++i) {
      if (!shown[i] || widths[i] == 0) continue;
      std::string cell = Padded(Fit(cells[i], widths[i]), widths[i], columns[i].right);
      const std::string text(absl::StripTrailingAsciiWhitespace(cell));
      if (!text.empty()) {
        line.append(spaces, ' ');
        spaces = 0;
        line += head || columns[i].coloured ? Paint(text, look) : text;
      }
      spaces += cell.size() - text.size() + kGap;
    }
    absl::StrAppend(&out, line, "\n");
    if (below && !head && !cells[last].empty()) out += Wrapped("    ", cells[last]);
  };
  std::vector<std::string> heads;
  bool any = false;
  for (const Column& one : columns) {
    heads.push_back(one.head);
    any = any || !one.head.empty();
  }
  if (any) add(heads, Look::kFaint, /*head=*/true);
  for (const Row& row : rows) add(row.cells, row.look, /*head=*/false);
  return out;
}

}  // namespace deferd
