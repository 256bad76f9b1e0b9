// Arguments that several verbs about the ledger take.

#ifndef DEFERD_LIMITER_ADMIN_TRACK_ARGS_H_
#define DEFERD_LIMITER_ADMIN_TRACK_ARGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

// Empty, or `otherwise`, if it is absent or null; InvalidArgument if it is of another type.
absl::StatusOr<std::string> TextArg(const Json& args, const char* name);
absl::StatusOr<int64_t> WholeArg(const Json& args, const char* name, int64_t otherwise);

// The domains that a question is confined to, with their logins and forwarded mail: argument
// `domains`, which the HTTP API gives for a token of some domains.
class Confines {
 public:
  // Without the argument everybody is inside. InvalidArgument if it is no list of texts.
  static absl::StatusOr<Confines> FromArgs(const Json& args);

  bool everybody() const { return !domains_.has_value(); }
  bool Hold(const Subject& subject) const {
    return everybody() || (MayBeOfTenant(subject.kind) && domains_->contains(subject.DomainPart()));
  }
  const absl::flat_hash_set<std::string>& domains() const { return *domains_; }

  // The names of scripts, accounts and local users are free text, in which a tenant could write
  // another's domain.
  static bool MayBeOfTenant(SubjectKind kind) {
    return kind == SubjectKind::kDomain || kind == SubjectKind::kLogin ||
           kind == SubjectKind::kForward;
  }

 private:
  std::optional<absl::flat_hash_set<std::string>> domains_;
};

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
