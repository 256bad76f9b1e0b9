// Calls the daemon's verbs in the name of a token: the one place that decides what a token may do
// and see. The API and the console both call through it.
//
// Refuses by role and scope before the verb runs, and takes out of its answer what is about others
// (scope.h). Finds whose case an id names, by the verb `case`. Thread-safe if `call` is.

#ifndef DEFERD_EXPORTER_API_CALLER_H_
#define DEFERD_EXPORTER_API_CALLER_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "exporter/api/resources.h"
#include "exporter/api/token_book.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

class Caller {
 public:
  static constexpr int64_t kMaxPage = 1000;

  // Calls a verb in the name of `person`, "token:NAME".
  using Call = std::function<absl::StatusOr<Json>(const std::string& verb, const Json& args,
                                                  const std::string& person)>;

  explicit Caller(Call call) : call_(std::move(call)) {}

  // PermissionDenied, with what it needs, if the token's role or domains do not allow the resource.
  static absl::Status MayCall(const Resource& resource, const Token& token);

  // `subject` is the path's, for a resource that has one; `args` are of the resource's parameters,
  // of their types. What changes something, or is refused because it would, is logged.
  absl::StatusOr<Json> Run(const Resource& resource, const std::string& subject, Json args,
                           const Token& token) const;

  // What the token sees of the changes after the one with the number `*after`, at most kMaxNews.
  // `*after` moves on past all that were looked at, so that none is looked at twice.
  absl::StatusOr<Json> News(const Token& token, int64_t* after) const;
  static constexpr size_t kMaxNews = 200;

 private:
  // Of the text in a path: a subject, or the id of a case of it. One answer for all cases that the
  // token does not see, whether they exist or not.
  absl::StatusOr<Subject> SubjectOf(const std::string& text, const Token& token) const;
  absl::StatusOr<Json> RunAllowed(const Resource& resource, const std::string& subject_text,
                                  Json args, const Token& token) const;

  const Call call_;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_CALLER_H_
