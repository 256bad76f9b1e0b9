// What the pages of deferctl are made of: times, words that wrap, tables, marks and colours.
//
// On a terminal a page fits its width and has colours; in a pipe nothing is cut and nothing is
// coloured, so that scripts read whole names. All pages use these pieces alone, so they look alike.
// Widths are columns of a terminal, not bytes. How pages look is set for the calling thread.

#ifndef DEFERD_LIMITER_CTL_PAGE_TEXT_H_
#define DEFERD_LIMITER_CTL_PAGE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

inline constexpr size_t kPageWidth = 80;

struct PageStyle {
  static constexpr size_t kWhole = std::numeric_limits<size_t>::max();
  size_t width = kPageWidth;  // of tables; kWhole: nothing is cut
  bool colour = false;
};

// 80 columns without colours until this is called, by a program's main before its first page.
void ShowPagesAs(PageStyle style);
const PageStyle& PagesAre();
// Of a terminal its width, and colours unless NO_COLOR is set or TERM is dumb; else kWhole.
PageStyle StyleOfOutput(int fd);

// The zone in which pages show times: UTC until this is called, before its
// first page. `now`: for the zone's name where it stands over a list, and for what is today.
void ShowTimesIn(absl::TimeZone zone, absl::Time now);

// Of an RFC 3339 time: "2026-11-22 11:15:04", for lists that PageZone() is written over, and
// "2026-11-22 11:15:04 CET". A text that is no time stays.
std::string ShortTime(const std::string& utc);
std::string ZonedTime(const std::string& utc);
std::string ZonedMinute(const std::string& utc);  // without seconds
std::string PageZone();                           // "CET"
// "11:15" of today, "Nov 21 11:15" of another day, "2025-11-21" of long ago.
std::string BriefTime(const std::string& utc);
// From now until then: "38 min", "2 h 5 min", "3 days"; empty if it is over.
std::string TimeLeft(const std::string& utc);

// The same instant as RFC 3339 of a time that a person wrote without a zone, and means as the pages
// show it; anything else as it is.
std::string MeantTime(const std::string& text);

// What a colour says. Without colours text stays as it is, so a mark or word must say it too.
enum class Look : uint8_t { kPlain, kGood, kBad, kWaiting, kFaint, kStrong };
std::string Paint(absl::string_view text, Look look);

// How many columns valid UTF-8 takes on a terminal.
size_t Columns(absl::string_view text);
// At most `columns` of it, cut with "…".
std::string Fit(absl::string_view text, size_t columns);

// Text in lines of at most kPageWidth, the first after `label`, the others below it. Longer words
// are broken.
std::string Wrapped(const std::string& label, const std::string& text);

// A table: columns as wide as their widest cell, long cells cut, the last one so that a row fits.
std::string Table(std::vector<std::vector<std::string>> rows);

// The same with columns of unequal worth.
struct Column {
  std::string head;
  size_t least = 0;       // it may be cut to this; 0: never
  bool right = false;     // aligned
  bool coloured = false;  // in its row's look
  bool optional = false;  // left out where the page is too narrow
  bool below = false;     // of the last one: goes below its row where it does not fit beside
};
struct Row {
  std::vector<std::string> cells;  // one for each column
  Look look = Look::kPlain;
};
std::string Table(std::vector<Column> columns, const std::vector<Row>& rows);

// As many of `items` as fit, joined; then how many more there are.
std::string JoinFitting(const std::vector<std::string>& items, absl::string_view separator,
                        size_t columns);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_PAGE_TEXT_H_
