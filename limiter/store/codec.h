// Pieces that the codecs of stored values share.
//
// At home a value is MessagePack, since texts from logs may hold any bytes. Unknown keys are
// ignored and missing ones take their defaults, so an older deferd's bytes can be read; DataLoss if
// they are no MessagePack or of another shape. For other nodes it is one line of JSON, read with
// limits. Times are microseconds since 1970, infinite ones null. Pure. Only codecs include this:
// functions here throw where the shape is another than expected, and Parse and ParseShared end
// that.

#ifndef DEFERD_LIMITER_STORE_CODEC_H_
#define DEFERD_LIMITER_STORE_CODEC_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "policy/charge.h"
#include "policy/counts.h"
#include "policy/json_limits.h"
#include "policy/reply/reply_class.h"
#include "policy/subject.h"

namespace deferd {

namespace codec {

using Json = nlohmann::json;

Json Micros(absl::Time t);
absl::Time TimeOf(const Json& json, absl::Time otherwise);
absl::Time TimeAt(const Json& json, const char* key, absl::Time otherwise);

struct UnknownValue : std::out_of_range {
  using std::out_of_range::out_of_range;
};

// A number that stands for one of `count` enumerators.
template <typename Enum>
Enum EnumOf(const Json& json, int count) {
  const int64_t number = json.get<int64_t>();
  if (number < 0 || number >= count) throw UnknownValue("a value that this deferd does not know");
  return static_cast<Enum>(number);
}

Json SubjectJson(const Subject& subject);
Subject SubjectOf(const Json& json);
Json ChargedJson(const ChargedSubjects& charged);
ChargedSubjects ChargedOf(const Json& json);
// -1 is none.
int ClassNumber(const std::optional<ReplyClass>& reply_class);
std::optional<ReplyClass> ClassOf(const Json& json);
// Older versions read the first three.
Json CountsJson(const Counts& counts);
// Adds what such a list has behind delivered, deferred and failed.
void AppendRest(const Counts& counts, Json* json);
Counts CountsOf(const Json& json);

std::string Bytes(const Json& json);  // MessagePack
std::string Line(const Json& json);   // a log's bytes may be no UTF-8: these are replaced

// What the templates need, compiled once. Json::exception if it is none.
Json FromBytes(absl::string_view text);
// Discarded if it is none.
Json FromText(absl::string_view text);

bool HasFraction(const Json& json);  // no deferd writes any

template <typename T>
absl::StatusOr<T> Parse(absl::string_view text, const char* what,
                        const std::function<T(const Json&)>& read) {
  try {
    const Json json = FromBytes(text);
    if (HasFraction(json)) throw std::out_of_range("a number with a fraction");
    return read(json);
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("stored ", what, " is damaged: ", error.what()));
  }
}

// Text that another node wrote. DataLoss: nobody can have meant it. Unimplemented: it has a value
// that a later deferd may know.
template <typename T>
absl::StatusOr<T> ParseShared(absl::string_view text, const char* what, const JsonLimits& limits,
                              const std::function<T(const Json&)>& read) {
  if (!JsonWithinLimits(text, limits)) {
    return absl::DataLossError(absl::StrCat(what, ": too large or nested too deeply"));
  }
  const Json json = FromText(text);
  if (json.is_discarded() || HasFraction(json)) {
    return absl::DataLossError(absl::StrCat(what, ": no JSON of a deferd"));
  }
  try {
    return read(json);
  } catch (const UnknownValue& error) {
    return absl::UnimplementedError(absl::StrCat(what, ": ", error.what()));
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace codec

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_CODEC_H_
