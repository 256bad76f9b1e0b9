// What a token for some domains sees of an answer: a list of what it may see, by verb.
//
// Only fields that are named here pass, and of those that name somebody only what the token sees. A
// field that a verb gains later is hidden until it is added here. What a token for all domains asks
// for does not come here. Pure.

#ifndef DEFERD_EXPORTER_API_SCOPE_H_
#define DEFERD_EXPORTER_API_SCOPE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "exporter/api/token_book.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

// `subject`: that of the request's path; no id: it has none. PermissionDenied for an answer that
// cannot be reduced to the token's own.
absl::StatusOr<Json> OnlyOwn(const Token& token, absl::string_view verb, const Subject& subject,
                             const Json& answer);

// The changes that the token sees.
Json OnlyOwnEvents(const Token& token, const Json& events);

// An error without what it says of the server.
absl::Status OnlyOwnError(const absl::Status& status);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_SCOPE_H_
