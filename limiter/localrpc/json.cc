#include "limiter/localrpc/json.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "policy/text.h"

namespace deferd {

std::string Dump(const Json& json) {
  return EscapeControls(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string DumpPretty(const Json& json) {
  return EscapeControls(json.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

std::string FormatUtc(absl::Time t) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", t, absl::UTCTimeZone());
}

std::string Field(const Json& json, const char* name) {
  auto it = json.find(name);
  if (it == json.end() || it->is_null()) return "";
  if (!it->is_string()) return PrintableUtf8(Dump(*it));
  // Joins several lines: pages wrap text themselves.
  return PrintableUtf8(
      absl::StrReplaceAll(it->get<std::string>(), {{"\r\n", " "}, {"\n", " "}, {"\t", " "}}));
}

int64_t Number(const Json& json, const char* name) {
  auto it = json.find(name);
  if (it == json.end() || !it->is_number()) return 0;
  if (!it->is_number_float()) return it->get<int64_t>();
  // Converts only values that fit into int64_t.
  constexpr double kEnd = 9223372036854775808.0;  // 2^63
  const double number = it->get<double>();
  if (number >= -kEnd && number < kEnd) return static_cast<int64_t>(number);
  if (number > 0) return std::numeric_limits<int64_t>::max();
  return number < 0 ? std::numeric_limits<int64_t>::min() : 0;
}

const Json& At(const Json& json, const char* name) {
  static const Json* const kNull = new Json(nullptr);
  auto it = json.find(name);
  return it == json.end() ? *kNull : *it;
}

bool Flag(const Json& json, const char* name) {
  auto it = json.find(name);
  return it != json.end() && *it == true;
}

}  // namespace deferd
