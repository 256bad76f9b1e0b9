// What the pages of deferctl are made of.

#ifndef DEFERD_LIMITER_CTL_PAGE_TEXT_H_
#define DEFERD_LIMITER_CTL_PAGE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

inline constexpr size_t kPageWidth = 80;

// The zone in which pages show times: UTC until this is called, by a program's main before its
// first page. `now`: for the zone's name where it stands over a list.
void ShowTimesIn(absl::TimeZone zone, absl::Time now);

// Of an RFC 3339 time: "2026-11-22 11:15:04", for lists that PageZone() is written over, and
// "2026-11-22 11:15:04 CET". A text that is no time stays.
std::string ShortTime(const std::string& utc);
std::string ZonedTime(const std::string& utc);
std::string ZonedMinute(const std::string& utc);  // without seconds
std::string PageZone();                           // "CET"

// The same instant as RFC 3339 of a time that a person wrote without a zone, and means as the pages
// show it; anything else as it is.
std::string MeantTime(const std::string& text);

// Text in lines of at most kPageWidth, the first after `label`, the others below it. Longer words
// are broken.
std::string Wrapped(const std::string& label, const std::string& text);

// A table: columns as wide as their widest cell, long cells cut, the last one so that a row fits.
std::string Table(std::vector<std::vector<std::string>> rows);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_PAGE_TEXT_H_
