// The Lua scripts that run inside Redis; each says in its .lua file what it takes and why it must
// be one. Made into strings by CMake.

#ifndef DEFERD_LIMITER_STORE_REDIS_SCRIPTS_H_
#define DEFERD_LIMITER_STORE_REDIS_SCRIPTS_H_

#include <array>

#include "absl/strings/string_view.h"

namespace deferd {

enum class RedisScript { kPutRow, kPutCase, kDropCase, kDropRows, kSayBeat, kSayEnd, kReadTime };
inline constexpr int kRedisScripts = 7;

// By RedisScript.
std::array<absl::string_view, kRedisScripts> RedisScriptTexts();

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_SCRIPTS_H_
