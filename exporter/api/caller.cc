#include "exporter/api/caller.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr int64_t kUsualPage = 50;
constexpr int64_t kUsualTop = 20;

// The verb's argument that names the subject.
const char* SubjectKey(const Resource& resource, const Subject& subject) {
  if (absl::string_view(resource.verb) != "track") return "subject";
  return subject.kind == SubjectKind::kDomain ? "domain" : "what";
}

bool SeesName(const Token& token, const std::string& name) {
  if (token.sees_all()) return true;
  absl::StatusOr<Subject> subject = Subject::Parse(name);
  return subject.ok() && token.Sees(*subject);
}

bool SeesEntry(const Token& token, const Json& entry) {
  if (token.sees_all()) return true;
  const Json& subject = At(entry, "subject");
  return subject.is_string() && SeesName(token, subject.get<std::string>());
}

Json OnlySeen(const Token& token, const Json& list) {
  Json seen = Json::array();
  for (const Json& entry : list) {
    if (SeesEntry(token, entry)) seen.push_back(entry);
  }
  return seen;
}

// A page of attempts, with the `before` of the next one: found out before rows of others are left
// out, since an empty page need not be the last.
Json AttemptsPage(const Token& token, const Json& rows, int64_t limit) {
  Json next = nullptr;
  if (!rows.empty()) {
    const std::string of_recipients = Field(rows.back(), "next");
    const bool full = rows.size() >= static_cast<size_t>(limit);
    const std::string row = !of_recipients.empty() ? of_recipients
                            : full                 ? Field(rows.back(), "row")
                                                   : "";
    if (!row.empty()) next = row;
  }
  return {{"items", OnlySeen(token, rows)}, {"next", next}};
}

// The life of a message is whole.
Json LifePage(const Token& token, const Json& rows) {
  return {{"items", OnlySeen(token, rows)}, {"next", nullptr}};
}

absl::Status ForTheWholeServer(const Token& token) {
  return absl::PermissionDeniedError(
      absl::StrCat("the token ", token.name,
                   " is for some domains only, and this shows or changes the whole server; use "
                   "/subjects/{subject}"));
}

// What the token sees of a history by subject.
absl::StatusOr<Json> HistoryOf(const Token& token, Json history) {
  if (token.sees_all()) return history;
  if (!history.contains("subjects")) return ForTheWholeServer(token);
  Json seen = Json::object();
  for (const auto& [name, one] : history["subjects"].items()) {
    if (SeesName(token, name)) seen[name] = one;
  }
  history["subjects"] = std::move(seen);
  return history;
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
  absl::StatusOr<Json> result =
      allowed.ok() ? RunAllowed(resource, subject, std::move(args), token) : allowed;
  if (absl::string_view(resource.method) == "POST") {
    spdlog::info("{} of {} by token:{} ({}): {}", resource.path,
                 subject.empty() ? "the server" : Quoted(subject.substr(0, 300)), token.name,
                 TokenRoleName(token.role),
                 result.ok() ? "done" : PrintableUtf8(result.status().message()));
  }
  return result;
}

absl::StatusOr<Json> Caller::RunAllowed(const Resource& resource, const std::string& subject_text,
                                        Json args, const Token& token) const {
  for (const Parameter& parameter : resource.parameters) {
    if (parameter.required && !args.contains(parameter.name)) {
      return absl::InvalidArgumentError(absl::StrCat(parameter.name, ": is required"));
    }
  }
  if (absl::string_view(resource.action) != "") args["do"] = resource.action;
  if (resource.names_subject()) {
    absl::StatusOr<Subject> subject = Subject::Parse(subject_text);
    if (!subject.ok()) return subject.status();
    // One answer for all that the token does not see, whether it exists or not.
    if (!token.Sees(*subject)) {
      return absl::PermissionDeniedError(absl::StrCat("the token ", token.name,
                                                      " is for other domains: not for ",
                                                      Quoted(subject_text.substr(0, 300))));
    }
    args[SubjectKey(resource, *subject)] = subject->ToString();
  }

  const absl::string_view verb = resource.verb;
  const bool life = verb == "track" && absl::string_view(resource.path) == "/messages";
  int64_t limit = 0;
  if (verb == "track" && !life) {
    limit = args.contains("limit") ? Number(args, "limit") : kUsualPage;
    if (limit == 0 || limit > kMaxPage) {
      return absl::InvalidArgumentError(absl::StrCat("limit: from 1 to ", kMaxPage));
    }
    args["limit"] = limit;
  }
  // The limit is of what the token sees, so it is applied afterwards.
  if (verb == "top") {
    limit = args.contains("limit") ? Number(args, "limit") : kUsualTop;
    if (!token.sees_all()) args["limit"] = 0;
  }
  absl::StatusOr<Json> result = call_(resource.verb, args, absl::StrCat("token:", token.name));
  if (!result.ok()) return result;
  if (life) return LifePage(token, *result);
  if (verb == "track") return AttemptsPage(token, *result, limit);
  if (verb == "history" && !resource.names_subject()) return HistoryOf(token, *std::move(result));
  if (resource.scope == ResourceScope::kListed) {
    Json seen = OnlySeen(token, *result);
    if (verb == "top" && limit > 0 && seen.size() > static_cast<size_t>(limit)) {
      seen.erase(seen.begin() + limit, seen.end());
    }
    return seen;
  }
  if (verb == "why" && !token.sees_all()) {
    // They name subjects of others.
    for (const char* others : {"near", "within", "incidents"}) result->erase(others);
  }
  return result;
}

}  // namespace deferd
