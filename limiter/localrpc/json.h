// JSON as deferd writes and reads it.
//
// Times are RFC 3339 UTC. Text from logs may hold any bytes: Dump replaces what is no UTF-8, and
// writes control characters, those of a terminal and of bidirectional text too, as \uXXXX. What is
// read may come from another version, or from no deferd at all: a field that is missing or of
// another type reads as nothing. Pure.

#ifndef DEFERD_LIMITER_LOCALRPC_JSON_H_
#define DEFERD_LIMITER_LOCALRPC_JSON_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace deferd {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json);        // one line
std::string DumpPretty(const Json& json);  // indented, with LF

std::string FormatUtc(absl::Time t);  // "2026-11-22T10:15:04Z", with a fraction if it has one

// A field as text that cannot disturb a terminal; "" if it is absent or null.
std::string Field(const Json& json, const char* name);
int64_t Number(const Json& json, const char* name);  // 0 if it is none; a fraction is cut
bool Flag(const Json& json, const char* name);
// A field as it is; null if it is absent.
const Json& At(const Json& json, const char* name);

}  // namespace deferd

#endif  // DEFERD_LIMITER_LOCALRPC_JSON_H_
