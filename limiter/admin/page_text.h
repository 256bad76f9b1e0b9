// What the pages of deferctl are made of.

#ifndef DEFERD_LIMITER_ADMIN_PAGE_TEXT_H_
#define DEFERD_LIMITER_ADMIN_PAGE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "limiter/admin/json.h"

namespace deferd {

inline constexpr size_t kPageWidth = 80;

// A field as text that cannot disturb a terminal; "" if it is absent or null.
std::string Field(const Json& json, const char* name);
int64_t Number(const Json& json, const char* name);  // 0 if it is none; a fraction is cut
bool Flag(const Json& json, const char* name);
// A field as it is; null if it is absent. What answers may be another version, or no deferd.
const Json& At(const Json& json, const char* name);

// "2026-11-22 10:15:04" of an RFC 3339 time; the pages say once that times are UTC.
std::string ShortTime(const std::string& utc);

// Text in lines of at most kPageWidth, the first after `label`, the others below it. Longer words
// are broken.
std::string Wrapped(const std::string& label, const std::string& text);

// A table: columns as wide as their widest cell, long cells cut, the last one so that a row fits.
std::string Table(std::vector<std::vector<std::string>> rows);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_PAGE_TEXT_H_
