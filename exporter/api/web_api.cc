#include "exporter/api/web_api.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/port/log.h"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr char kJson[] = "application/json";
constexpr int64_t kUsualPage = 50;

HttpReply Problem(int status, absl::string_view title, absl::string_view detail) {
  return {.code = status,
          .reason = std::string(title),
          .type = "application/problem+json",
          .body = DumpPretty({{"type", "about:blank"},
                              {"title", std::string(title)},
                              {"status", status},
                              {"detail", std::string(detail)}})};
}

HttpReply ProblemOf(const absl::Status& status) {
  const absl::string_view detail = status.message();
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return Problem(400, "Bad Request", detail);
    case absl::StatusCode::kPermissionDenied:
      return Problem(403, "Forbidden", detail);
    case absl::StatusCode::kNotFound:
      return Problem(404, "Not Found", detail);
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return Problem(409, "Conflict", detail);
    case absl::StatusCode::kUnavailable:
      return Problem(503, "Service Unavailable", detail);
    case absl::StatusCode::kDeadlineExceeded:
      return Problem(504, "Gateway Timeout", detail);
    default:
      return Problem(500, "Internal Server Error", detail);
  }
}

HttpReply Unauthorized(absl::string_view detail) {
  HttpReply reply = Problem(401, "Unauthorized", detail);
  reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"deferd\"");
  return reply;
}

HttpReply TooMany() {
  HttpReply reply = Problem(429, "Too Many Requests", "wait a second and try again");
  reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

// Percent-decoding (RFC 3986); in a query '+' is a space. nullopt: malformed, or NUL.
std::optional<std::string> Decoded(absl::string_view text, bool query) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && query) {
      out.push_back(' ');
    } else if (text[i] != '%') {
      out.push_back(text[i]);
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = digit(text[i + 1]), low = digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
    if (out.back() == '\0') return std::nullopt;
  }
  return out;
}

// Whether `path`, below kApiRoot, is the resource's; `*subject` is then its {subject}.
bool Matches(const Resource& resource, absl::string_view path, std::string* subject) {
  const std::vector<absl::string_view> wanted = absl::StrSplit(resource.path, '/');
  const std::vector<absl::string_view> given = absl::StrSplit(path, '/');
  if (wanted.size() != given.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != "{subject}") {
      if (wanted[i] != given[i]) return false;
      continue;
    }
    std::optional<std::string> text = Decoded(given[i], /*query=*/false);
    if (!text.has_value() || text->empty()) return false;
    *subject = *std::move(text);
  }
  return true;
}

absl::Status Unknown(absl::string_view name) {
  return absl::InvalidArgumentError(
      absl::StrCat("parameter ", Quoted(name.substr(0, 40)), " is not known here"));
}

absl::StatusOr<Json> ParameterValue(const Parameter& parameter, const std::string& text) {
  const std::string name = parameter.name;
  switch (parameter.type) {
    case ParameterType::kText:
      return Json(text);
    case ParameterType::kFlag:
      if (text == "true" || text == "false") return Json(text == "true");
      return absl::InvalidArgumentError(absl::StrCat(name, ": expected true or false"));
    case ParameterType::kWhole: {
      int64_t number = 0;
      if (absl::SimpleAtoi(text, &number) && number >= 0) return Json(number);
      return absl::InvalidArgumentError(absl::StrCat(name, ": expected a whole number from 0 up"));
    }
  }
  return Json();
}

const Parameter* Find(const Resource& resource, absl::string_view name) {
  for (const Parameter& one : resource.parameters) {
    if (name == one.name) return &one;
  }
  return nullptr;
}

absl::StatusOr<Json> QueryArgs(const Resource& resource, absl::string_view query) {
  Json args = Json::object();
  for (absl::string_view pair : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    std::optional<std::string> name = Decoded(parts.first, /*query=*/true);
    std::optional<std::string> text = Decoded(parts.second, /*query=*/true);
    if (!name.has_value() || !text.has_value()) {
      return absl::InvalidArgumentError("the query is not percent-encoded correctly");
    }
    const Parameter* const parameter = Find(resource, *name);
    if (parameter == nullptr) return Unknown(*name);
    if (args.contains(*name)) {
      return absl::InvalidArgumentError(absl::StrCat(*name, ": given twice"));
    }
    absl::StatusOr<Json> value = ParameterValue(*parameter, *text);
    if (!value.ok()) return value.status();
    args[*name] = *std::move(value);
  }
  return args;
}

absl::StatusOr<Json> BodyArgs(const Resource& resource, const std::string& body) {
  if (body.empty()) return Json(Json::object());
  if (!JsonWithinLimits(body, {})) {
    return absl::InvalidArgumentError("the body is too large or nested too deeply");
  }
  Json args = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!args.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  for (const auto& [name, value] : args.items()) {
    const Parameter* const parameter = Find(resource, name);
    if (parameter == nullptr) return Unknown(name);
    const bool fits = parameter->type == ParameterType::kText    ? value.is_string()
                      : parameter->type == ParameterType::kWhole ? value.is_number_unsigned()
                                                                 : value.is_boolean();
    if (!fits) return absl::InvalidArgumentError(absl::StrCat(name, ": is of the wrong type"));
  }
  return args;
}

// The verb's argument that names the subject.
const char* SubjectKey(const Resource& resource, const Subject& subject) {
  if (absl::string_view(resource.verb) != "track") return "subject";
  return subject.kind == SubjectKind::kDomain ? "domain" : "what";
}

bool SeesEntry(const Token& token, const Json& entry) {
  if (token.sees_all()) return true;
  const auto subject = entry.find("subject");
  if (subject == entry.end() || !subject->is_string()) return false;
  absl::StatusOr<Subject> parsed = Subject::Parse(subject->get<std::string>());
  return parsed.ok() && token.Sees(*parsed);
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

}  // namespace

bool WebApi::Bucket::Take(absl::Time now) {
  if (now > at) {
    level = std::min(kBurst, level + absl::ToDoubleSeconds(now - at) * kRate);
  }
  at = now;
  if (level < 1) return false;
  level -= 1;
  return true;
}

HttpReply WebApi::Answer(const HttpRequest& request) {
  if (request.path == absl::StrCat(kApiRoot, "/openapi.json")) {
    if (request.method != "GET") return Problem(405, "Method Not Allowed", "use GET");
    return {.type = kJson, .body = DumpPretty(OpenApi(parts_.version))};
  }
  absl::string_view secret = request.authorization;
  std::optional<Token> token;
  if (absl::StartsWithIgnoreCase(secret, "bearer ")) {
    token = parts_.tokens->Find(secret.substr(sizeof("bearer ") - 1));
  }
  const absl::Time now = parts_.clock->Now();
  if (!token.has_value()) {
    if (!strangers_.Take(now)) return TooMany();
    return Unauthorized(request.authorization.empty()
                            ? "send a token: Authorization: Bearer deferd_..."
                            : "this token is not known or was revoked");
  }
  if (buckets_.size() > TokenBook::kMaxTokens) buckets_.clear();
  if (!buckets_[token->name].Take(now)) return TooMany();
  return AnswerToken(request, *token);
}

HttpReply WebApi::AnswerToken(const HttpRequest& request, const Token& token) {
  absl::string_view path = request.path;
  if (!absl::ConsumePrefix(&path, kApiRoot)) {
    return Problem(404, "Not Found", absl::StrCat("see ", kApiRoot, "/openapi.json"));
  }
  std::string allowed;
  for (const Resource& resource : Resources()) {
    std::string subject;
    if (!Matches(resource, path, &subject)) continue;
    if (request.method != resource.method) {
      allowed = resource.method;
      continue;
    }
    absl::StatusOr<Json> result = absl::PermissionDeniedError("");
    if (token.role < LeastRole(resource)) {
      result = absl::PermissionDeniedError(
          absl::StrCat("this needs a token with role ", TokenRoleName(LeastRole(resource)),
                       "; the token ", token.name, " has role ", TokenRoleName(token.role)));
    } else if (request.method == "POST" && request.content_type != kJson) {
      return Problem(415, "Unsupported Media Type", "send Content-Type: application/json");
    } else {
      result = Run(resource, subject, request, token);
    }
    const HttpReply reply = result.ok() ? HttpReply{.type = kJson, .body = DumpPretty(*result)}
                                        : ProblemOf(result.status());
    if (request.method == "POST") {
      spdlog::info("api: {} of {} by token:{} ({}): {}", resource.verb,
                   subject.empty() ? "the server" : Quoted(subject.substr(0, 300)), token.name,
                   TokenRoleName(token.role), reply.code);
    }
    return reply;
  }
  if (!allowed.empty()) {
    HttpReply reply = Problem(405, "Method Not Allowed", absl::StrCat("use ", allowed));
    reply.headers.emplace_back("Allow", allowed);
    return reply;
  }
  return Problem(404, "Not Found", absl::StrCat("see ", kApiRoot, "/openapi.json"));
}

absl::StatusOr<Json> WebApi::Run(const Resource& resource, const std::string& subject_text,
                                 const HttpRequest& request, const Token& token) {
  if (resource.scope == ResourceScope::kServer && !token.sees_all()) {
    return absl::PermissionDeniedError(
        absl::StrCat("the token ", token.name,
                     " is for some domains only, and this shows or "
                     "changes the whole server; use /subjects/{subject}"));
  }
  absl::StatusOr<Json> args = request.method == "GET" ? QueryArgs(resource, request.query)
                                                      : BodyArgs(resource, request.body);
  if (!args.ok()) return args.status();
  for (const Parameter& parameter : resource.parameters) {
    if (parameter.required && !args->contains(parameter.name)) {
      return absl::InvalidArgumentError(absl::StrCat(parameter.name, ": is required"));
    }
  }
  if (absl::string_view(resource.action) != "") (*args)["do"] = resource.action;
  if (resource.names_subject()) {
    absl::StatusOr<Subject> subject = Subject::Parse(subject_text);
    if (!subject.ok()) return subject.status();
    // One answer for all that the token does not see, whether it exists or not.
    if (!token.Sees(*subject)) {
      return absl::PermissionDeniedError(absl::StrCat("the token ", token.name,
                                                      " is for other domains: not for ",
                                                      Quoted(subject_text.substr(0, 300))));
    }
    (*args)[SubjectKey(resource, *subject)] = subject->ToString();
  }

  const absl::string_view verb = resource.verb;
  int64_t limit = 0;
  if (verb == "track") {
    limit = args->contains("limit") ? Number(*args, "limit") : kUsualPage;
    if (limit == 0 || limit > kMaxPage) {
      return absl::InvalidArgumentError(absl::StrCat("limit: from 1 to ", kMaxPage));
    }
    (*args)["limit"] = limit;
  }
  // The limit is of what the token sees, so it is applied afterwards.
  if (verb == "top") {
    limit = args->contains("limit") ? Number(*args, "limit") : 20;
    if (!token.sees_all()) (*args)["limit"] = 0;
  }
  absl::StatusOr<Json> result =
      parts_.call(resource.verb, *args, absl::StrCat("token:", token.name));
  if (!result.ok()) return result;
  if (verb == "track") return AttemptsPage(token, *result, limit);
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
