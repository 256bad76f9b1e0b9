// Arguments that several verbs about the ledger take.

#ifndef DEFERD_LIMITER_ADMIN_TRACK_ARGS_H_
#define DEFERD_LIMITER_ADMIN_TRACK_ARGS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// Empty, or `otherwise`, if it is absent or null; InvalidArgument if it is of another type.
absl::StatusOr<std::string> TextArg(const Json& args, const char* name);
absl::StatusOr<int64_t> WholeArg(const Json& args, const char* name, int64_t otherwise);

// "2h" (before `now`), RFC 3339, "2026-11-22 10:00[:00]" or "2026-11-22", in UTC.
absl::StatusOr<absl::Time> ParseWhen(absl::string_view text, absl::Time now);

// `since` and `until`.
struct TimeSpan {
  absl::Time since = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();
};
absl::StatusOr<TimeSpan> TimeArgs(const Json& args, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_TRACK_ARGS_H_
