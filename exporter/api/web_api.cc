#include "exporter/api/web_api.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "exporter/api/form.h"
#include "limiter/port/log.h"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr char kJson[] = "application/json";
constexpr char kEventStream[] = "text/event-stream";

HttpReply Problem(int status, absl::string_view title, absl::string_view detail) {
  return {.code = status,
          .reason = std::string(title),
          .type = "application/problem+json",
          .body = DumpPretty({{"type", "about:blank"},
                              {"title", std::string(title)},
                              {"status", status},
                              {"detail", std::string(detail)}})};
}

HttpReply NoSuchResource() {
  return Problem(404, "Not Found",
                 absl::StrCat("the API has nothing at this address; ", kApiRoot,
                              "/openapi.json says what it has"));
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

// In place of an answer to a question that took too long, or to a request that never began.
HttpReply TooLate(bool begun) {
  if (!begun) {
    HttpReply reply =
        Problem(503, "Service Unavailable", "the server is busy; nothing was done, so try again");
    reply.headers.emplace_back("Retry-After", "5");
    return reply;
  }
  return Problem(504, "Gateway Timeout", "this takes too long; ask for less, or a shorter time");
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
  const std::optional<Form> form = Form::Parse(query);
  if (!form.has_value()) {
    return absl::InvalidArgumentError(
        "the query is not percent-encoded correctly, or names a parameter twice");
  }
  Json args = Json::object();
  for (const auto& [name, text] : form->fields()) {
    const Parameter* const parameter = Find(resource, name);
    if (parameter == nullptr) return Unknown(name);
    absl::StatusOr<Json> value = ParameterValue(*parameter, text);
    if (!value.ok()) return value.status();
    args[name] = *std::move(value);
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

// Events as a stream (HTML standard, server-sent events): those since `after`, then, at each call,
// those that came. Ends when the token was revoked, has expired, or is not what it was.
class EventStream {
 public:
  EventStream(const Caller* caller, const TokenBook* tokens, const Clock* clock, const Token& token,
              int64_t after)
      : caller_(caller), tokens_(tokens), clock_(clock), begun_(token), after_(after) {}

  std::optional<std::string> Next() {
    const std::optional<Token> token = tokens_->FindByHash(begun_.hash, clock_->Now());
    if (!token.has_value() || !token->SameRights(begun_)) return std::nullopt;
    const absl::StatusOr<Json> events = caller_->News(*token, &after_);
    if (!events.ok()) return std::nullopt;
    std::string text;
    for (const Json& event : *events) {
      absl::StrAppend(&text, "id: ", Number(event, "seq"), "\nevent: ", Field(event, "type"),
                      "\ndata: ", Dump(event), "\n\n");
    }
    // A comment now and then finds out that nobody reads any more.
    if (text.empty() && ++silent_ % kSilence == 0) return ": \n\n";
    return text;
  }

 private:
  static constexpr int kSilence = 15;

  const Caller* const caller_;
  const TokenBook* const tokens_;
  const Clock* const clock_;
  const Token begun_;
  int64_t after_;
  int silent_ = 0;
};

}  // namespace

WebApi::WebApi(Parts parts)
    : parts_(std::move(parts)),
      rates_(TokenRates::kRate, TokenRates::kBurst),
      strangers_(TokenRates::kRate, TokenRates::kBurst) {}

HttpReply WebApi::Answer(const HttpRequest& request) {
  if (request.path == absl::StrCat(kApiRoot, "/openapi.json")) {
    if (request.method != "GET") return Problem(405, "Method Not Allowed", "use GET");
    return {.type = kJson, .body = DumpPretty(OpenApi(parts_.version))};
  }
  if (const absl::Status trouble = parts_.tokens->problem(); !trouble.ok()) {
    HttpReply reply = Problem(503, "Service Unavailable",
                              "no token can be checked: deferd's file of tokens cannot be read; "
                              "deferctl status on the server says why");
    reply.headers.emplace_back("Retry-After", "60");
    return reply;
  }
  absl::string_view secret = request.authorization;
  std::optional<Token> token;
  if (absl::StartsWithIgnoreCase(secret, "bearer ")) {
    secret.remove_prefix(sizeof("bearer ") - 1);
    token = parts_.tokens->Find(secret, parts_.clock->Now());
  }
  if (!token.has_value()) return RefuseStranger(request);
  if (!rates_.Take(*token, parts_.clock->Now())) return TooMany();
  return AnswerToken(request, *token);
}

HttpReply WebApi::RefuseStranger(const HttpRequest& request) {
  const absl::Time now = parts_.clock->Now();
  const bool slow = strangers_.Take(request.authorization, now);
  if (const int64_t failures = strangers_.Report(now); failures > 0) {
    spdlog::warn("api: {} requests without a valid token", failures);
  }
  if (!slow) return TooMany();
  absl::string_view secret = request.authorization;
  if (absl::StartsWithIgnoreCase(secret, "bearer ")) {
    secret.remove_prefix(sizeof("bearer ") - 1);
    if (const std::optional<Token> token = parts_.tokens->FindExpired(secret, now)) {
      LogExpired(*token, now);
      return Unauthorized(absl::StrCat("this token expired at ", FormatUtc(token->expires),
                                       "; ask the administrator for a new one"));
    }
  }
  return Unauthorized(request.authorization.empty()
                          ? "send a token: Authorization: Bearer deferd_..."
                          : "this token is not known or was revoked");
}

// Once an hour and token: a client that was forgotten may try for years.
void WebApi::LogExpired(const Token& token, absl::Time now) {
  if (expired_.size() > TokenBook::kMaxTokens) expired_.clear();
  const auto [last, first] = expired_.try_emplace(token.name, now);
  if (!first && now - last->second < absl::Hours(1)) return;
  last->second = now;
  spdlog::warn("api: token:{} ({}) was refused: it expired at {}", token.name,
               TokenRoleName(token.role), FormatUtc(token.expires));
}

HttpReply WebApi::AnswerToken(const HttpRequest& request, const Token& token) {
  absl::string_view path = request.path;
  if (!absl::ConsumePrefix(&path, kApiRoot)) {
    return NoSuchResource();
  }
  if (absl::ConsumePrefix(&path, kLatePath)) {
    return AnswerLate(std::string(path), request, token);
  }
  std::string allowed;
  for (const Resource& resource : Resources()) {
    std::string subject;
    if (!Matches(resource, path, &subject)) continue;
    if (request.method != resource.method) {
      allowed = resource.method;
      continue;
    }
    const bool acts = request.method == "POST";
    if (absl::Status may = Caller::MayCall(resource, token); !may.ok()) {
      if (acts) {
        spdlog::info("{} by token:{} ({}): {}", resource.path, token.name,
                     TokenRoleName(token.role), may.message());
      }
      return ProblemOf(may);
    }
    if (acts && request.content_type != kJson) {
      return Problem(415, "Unsupported Media Type", "send Content-Type: application/json");
    }
    absl::StatusOr<Json> args =
        acts ? BodyArgs(resource, request.body) : QueryArgs(resource, request.query);
    if (!args.ok()) return ProblemOf(args.status());
    if (absl::string_view(resource.verb) == "events" &&
        absl::StrContains(request.accept, kEventStream)) {
      return StreamEvents(request, token, *args);
    }
    HttpReply reply;
    reply.owner = token.name;
    auto outcome = std::make_shared<LateOutcome>();
    reply.late = [this, acts, token, outcome](bool begun) {
      return acts && begun ? LateAct(token, outcome) : TooLate(begun);
    };
    reply.work = [caller = parts_.caller, tokens = parts_.tokens, clock = parts_.clock, &resource,
                  subject, given = *std::move(args), token, outcome] {
      // It may have waited, and the token is not what it was.
      const std::optional<Token> now = tokens->FindByHash(token.hash, clock->Now());
      if (!now.has_value() || !now->SameRights(token)) {
        return Unauthorized("this token was revoked, changed or expired while the request waited");
      }
      const absl::StatusOr<Json> result = caller->Run(resource, subject, given, token);
      HttpReply done = result.ok() ? HttpReply{.type = kJson, .body = DumpPretty(*result)}
                                   : ProblemOf(result.status());
      if (absl::string_view(resource.method) == "POST") outcome->Set(done.code, done.body);
      return done;
    };
    return reply;
  }
  if (!allowed.empty()) {
    HttpReply reply = Problem(405, "Method Not Allowed", absl::StrCat("use ", allowed));
    reply.headers.emplace_back("Allow", allowed);
    return reply;
  }
  return NoSuchResource();
}

// Not an error: it is being done, and to ask again could do it twice.
HttpReply WebApi::LateAct(const Token& token, const std::shared_ptr<const LateOutcome>& outcome) {
  Json json = {{"status", "running"},
               {"detail", "this takes longer than usual and goes on; do not send it again"}};
  HttpReply reply{.code = 202, .reason = "Accepted", .type = kJson};
  const std::string id = late_.Add(token, outcome, std::chrono::steady_clock::now());
  if (!id.empty()) {
    const std::string address = absl::StrCat(kApiRoot, kLatePath, id);
    json["result"] = address;
    reply.headers.emplace_back("Location", address);
    reply.headers.emplace_back("Retry-After", "5");
  }
  reply.body = DumpPretty(json);
  return reply;
}

HttpReply WebApi::AnswerLate(const std::string& id, const HttpRequest& request,
                             const Token& token) {
  if (request.method != "GET") {
    HttpReply reply = Problem(405, "Method Not Allowed", "use GET");
    reply.headers.emplace_back("Allow", "GET");
    return reply;
  }
  const std::optional<Json> found = late_.Find(id, token, std::chrono::steady_clock::now());
  if (!found.has_value()) {
    return Problem(404, "Not Found",
                   "no result of this token is kept here: results are kept for an hour, until "
                   "deferd is restarted; deferd's log says how each act ended");
  }
  HttpReply reply{.type = kJson, .body = DumpPretty(*found)};
  if (Field(*found, "status") == "running") reply.headers.emplace_back("Retry-After", "5");
  return reply;
}

HttpReply WebApi::StreamEvents(const HttpRequest& request, const Token& token,
                               const Json& args) const {
  // A client that lost its connection says what it has seen.
  int64_t after = Number(args, "after");
  if (!request.last_event_id.empty() && !absl::SimpleAtoi(request.last_event_id, &after)) {
    return Problem(400, "Bad Request", "Last-Event-ID: expected the id of an event");
  }
  auto stream =
      std::make_shared<EventStream>(parts_.caller, parts_.tokens, parts_.clock, token, after);
  return {.type = kEventStream, .next = [stream] { return stream->Next(); }, .owner = token.name};
}

}  // namespace deferd
