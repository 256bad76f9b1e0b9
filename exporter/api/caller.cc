#include "exporter/api/caller.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "exporter/api/scope.h"
#include "limiter/port/log.h"
#include "policy/case_id.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr int64_t kUsualPage = 50;
constexpr int64_t kUsualTop = 20;
constexpr int64_t kMostListed = 10'000;  // whatever a client asks for
constexpr size_t kMaxLogged = 300;

// The verb's argument that names the subject. A token for some domains gets what is charged to the
// subject, and nothing that only bears its name.
const char* SubjectKey(const Resource& resource, const Subject& subject, const Token& token) {
  if (absl::string_view(resource.verb) != "track" || !token.sees_all()) return "subject";
  return subject.kind == SubjectKind::kDomain ? "domain" : "what";
}

// The `before` of the next page of attempts; null: there is none. Found out before rows are left
// out, since an empty page need not be the last.
Json NextOf(const Json& rows, int64_t limit) {
  if (rows.empty()) return nullptr;
  const std::string of_recipients = Field(rows.back(), "next");
  const bool full = rows.size() >= static_cast<size_t>(limit);
  const std::string row = !of_recipients.empty() ? of_recipients
                          : full                 ? Field(rows.back(), "row")
                                                 : "";
  return row.empty() ? Json(nullptr) : Json(row);
}

// What an act was told to do, for the record.
std::string ToldOf(const std::string& subject, const Json& args) {
  if (!subject.empty()) return Quoted(subject.substr(0, kMaxLogged));
  std::string told;
  for (const char* name : {"subject", "sender", "id", "case"}) {
    const std::string value = Field(args, name);
    if (value.empty()) continue;
    absl::StrAppend(&told, told.empty() ? "" : " ", name, " ", Quoted(value.substr(0, kMaxLogged)));
  }
  return told.empty() ? "the server" : told;
}

absl::Status ForTheWholeServer(const Token& token) {
  return absl::PermissionDeniedError(
      absl::StrCat("the token ", token.name,
                   " is for some domains only, and this shows or changes the whole server; use "
                   "/subjects/{subject}"));
}

}  // namespace

absl::Status Caller::MayCall(const Resource& resource, const Token& token) {
  if (token.role < LeastRole(resource)) {
    return absl::PermissionDeniedError(
        absl::StrCat("this needs a token with role ", TokenRoleName(LeastRole(resource)),
                     "; the token ", token.name, " has role ", TokenRoleName(token.role)));
  }
  if (resource.scope == ResourceScope::kServer && !token.sees_all()) {
    return ForTheWholeServer(token);
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> Caller::Run(const Resource& resource, const std::string& subject, Json args,
                                 const Token& token) const {
  absl::Status allowed = MayCall(resource, token);
  const bool acts = absl::string_view(resource.method) == "POST";
  const std::string told = acts ? ToldOf(subject, args) : "";
  absl::StatusOr<Json> result =
      allowed.ok() ? RunAllowed(resource, subject, std::move(args), token) : allowed;
  if (acts) {
    spdlog::info("{} of {} by token:{} ({}): {}", resource.path, told, token.name,
                 TokenRoleName(token.role),
                 result.ok() ? "done" : PrintableUtf8(result.status().message()));
  }
  if (!result.ok() && !token.sees_all()) return OnlyOwnError(result.status());
  return result;
}

absl::StatusOr<Json> Caller::News(const Token& token, int64_t* after) const {
  const Resource& resource = ResourceAt("GET", "/events");
  if (absl::Status allowed = MayCall(resource, token); !allowed.ok()) return allowed;
  absl::StatusOr<Json> events =
      call_(resource.verb, {{"after", *after}}, absl::StrCat("token:", token.name));
  if (!events.ok() || events->empty()) return events;
  while (events->size() > kMaxNews) events->erase(events->size() - 1);
  *after = std::max(*after, Number(events->back(), "seq"));
  return token.sees_all() ? *std::move(events) : OnlyOwnEvents(token, *events);
}

absl::StatusOr<Subject> Caller::SubjectOf(const std::string& text, const Token& token) const {
  const std::optional<std::string> id = ParseCaseId(text);
  if (!id.has_value()) {
    absl::StatusOr<Subject> subject = Subject::Parse(text);
    if (!subject.ok() || token.Sees(*subject)) return subject;
    return absl::PermissionDeniedError(
        absl::StrCat("the token ", token.name, " is for other domains, not for this subject"));
  }
  absl::StatusOr<Json> found = call_("case", {{"id", *id}}, absl::StrCat("token:", token.name));
  if (found.ok()) {
    absl::StatusOr<Subject> subject = Subject::Parse(Field(*found, "subject"));
    if (subject.ok() && token.Sees(*subject)) return subject;
  } else if (token.sees_all() || !absl::IsNotFound(found.status())) {
    return found.status();
  }
  return absl::NotFoundError(absl::StrCat("no such case of the domains that the token ", token.name,
                                          " is for: ", *id,
                                          "; compare the id with the refusal, or give the domain"));
}

absl::StatusOr<Json> Caller::RunAllowed(const Resource& resource, const std::string& subject_text,
                                        Json args, const Token& token) const {
  const absl::Span<const Parameter> parameters = resource.parameters;
  for (const auto& [name, value] : args.items()) {
    const bool known =
        std::any_of(parameters.begin(), parameters.end(),
                    [&name = name](const Parameter& one) { return name == one.name; });
    if (!known) return absl::InvalidArgumentError(absl::StrCat(Quoted(name), " is not known here"));
  }
  for (const Parameter& parameter : parameters) {
    if (parameter.required && !args.contains(parameter.name)) {
      return absl::InvalidArgumentError(absl::StrCat(parameter.name, ": is required"));
    }
  }
  if (absl::string_view(resource.action) != "") args["do"] = resource.action;
  Subject subject;
  if (resource.names_subject()) {
    absl::StatusOr<Subject> named = SubjectOf(subject_text, token);
    if (!named.ok()) return named.status();
    subject = *std::move(named);
    // Of a case the verb shows that one, and changes no other.
    const std::string key = SubjectKey(resource, subject, token);
    const std::optional<std::string> id = ParseCaseId(subject_text);
    args[key] = id.has_value() && key == "subject" ? *id : subject.ToString();
  }

  const absl::string_view verb = resource.verb;
  const bool life = verb == "track" && args.contains("id");
  int64_t limit = 0;
  if (verb == "track" && !life) {
    limit = args.contains("limit") ? Number(args, "limit") : kUsualPage;
    if (limit == 0 || limit > kMaxPage) {
      return absl::InvalidArgumentError(absl::StrCat("limit: from 1 to ", kMaxPage));
    }
    args["limit"] = limit;
  }
  if (verb == "top" || verb == "stats" || verb == "destinations") {
    limit = args.contains("limit") ? Number(args, "limit") : kUsualTop;
    if (limit == 0 || limit > kMostListed) limit = kMostListed;
    if (verb == "top" || args.contains("limit")) args["limit"] = limit;
  }
  // The limits of these are of what the token sees.
  const bool lists = verb == "top" || (verb == "history" && !resource.names_subject());
  if (lists && !token.sees_all()) args["domains"] = token.domains;
  absl::StatusOr<Json> result = call_(resource.verb, args, absl::StrCat("token:", token.name));
  if (!result.ok()) return result;
  Json next = verb == "track" && !life ? NextOf(*result, limit) : Json(nullptr);
  if (!token.sees_all()) {
    result = OnlyOwn(token, verb, subject, *result);
    if (!result.ok()) return result;
  }
  if (verb != "track") return result;
  return Json{{"items", *std::move(result)}, {"next", std::move(next)}};
}

}  // namespace deferd
