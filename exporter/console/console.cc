#include "exporter/console/console.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "exporter/api/form.h"
#include "exporter/api/secret.h"
#include "exporter/console/assets.h"
#include "exporter/console/pages.h"
#include "limiter/port/log.h"

namespace deferd {
namespace {

// Without the __Host- prefix where there is no TLS: browsers refuse it there.
constexpr char kCookie[] = "deferd_session";
constexpr char kSecureCookie[] = "__Host-deferd_session";
constexpr char kFormType[] = "application/x-www-form-urlencoded";

constexpr int kSilence = 15;  // calls without news after which a comment is sent

constexpr double kFailures = 0.2;  // a second
constexpr double kFailuresAtOnce = 10;

struct Page {
  absl::string_view path;
  HttpReply (*answer)(const Visitor&, const Form&);
};
constexpr Page kPages[] = {{"/", NowPage},
                           {"/subject", SubjectPage},
                           {"/track", TrackPage},
                           {"/track.csv", TrackCsv},
                           {"/message", MessagePage},
                           {"/queue", QueuePage},
                           {"/destinations", DestinationsPage},
                           {"/explain", ExplainPage},
                           {"/policy", PolicyPage}};

// Both names are looked for: the one without prefix only where the page is not behind TLS.
std::string SessionId(const HttpRequest& request) {
  const absl::string_view name = request.secure ? kSecureCookie : kCookie;
  for (absl::string_view pair : absl::StrSplit(request.cookie, ';')) {
    pair = absl::StripAsciiWhitespace(pair);
    if (absl::ConsumePrefix(&pair, name) && absl::ConsumePrefix(&pair, "=")) {
      return std::string(pair);
    }
  }
  return "";
}

std::string CookieFor(const HttpRequest& request, const std::string& id) {
  return absl::StrCat(request.secure ? kSecureCookie : kCookie, "=", id,
                      "; Path=/; HttpOnly; SameSite=Strict", request.secure ? "; Secure" : "",
                      "; Max-Age=", id.empty() ? 0 : absl::ToInt64Seconds(Sessions::kLongest));
}

// What a browser says of where a form comes from; those that say nothing have SameSite and the
// form's own secret.
bool IsFromElsewhere(const HttpRequest& request) {
  return !request.fetch_site.empty() && request.fetch_site != "same-origin" &&
         request.fetch_site != "none";
}

HttpReply LoginPage(int code, absl::string_view problem) {
  return BarePage(code, "Log in", [&](Html* html) {
    const Html::Scope form = html->InForm("post", Url("/login"), {{"class", "card login"}});
    html->Put("h1", "deferd");
    if (!problem.empty()) {
      html->Put("p", problem, {{"class", "note bad"}, {"role", "alert"}});
    }
    const Html::Scope field = html->InAs("label", "field");
    html->Put("span", "Token");
    html->Void("input", {{"type", "password"},
                         {"name", "token"},
                         {"required", ""},
                         {"autocomplete", "current-password"},
                         {"autofocus", ""}});
    html->Void("input", {{"type", "hidden"}, {"name", "zone"}, {"data-zone", ""}});
    html->Put("button", "Log in");
    html->PutAs("p", "faint", "deferctl token add NAME on the server creates one.");
  });
}

// The zone that the browser names; UTC if it is none.
absl::TimeZone ZoneNamed(const std::string& name) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(c) || c == '/' || c == '_' || c == '-' || c == '+';
  };
  absl::TimeZone zone = absl::UTCTimeZone();
  if (name.empty() || name.size() > 64 || name.front() == '/' ||
      !std::all_of(name.begin(), name.end(), allowed) || !absl::LoadTimeZone(name, &zone)) {
    return absl::UTCTimeZone();
  }
  return zone;
}

HttpReply NotFoundPage(const Visitor& visitor) {
  HttpReply reply = PageReply(visitor, "", "Not found", [](Html* html) {
    html->Put("h1", "Not found");
    html->Link(Url("/"), "Now");
  });
  reply.code = 404;
  reply.reason = "Not Found";
  return reply;
}

// Nothing of a page may come from elsewhere, be written into it, or be shown inside another page.
void AddGuards(HttpReply* reply) {
  static constexpr std::pair<const char*, const char*> kGuards[] = {
      {"Content-Security-Policy",
       "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src "
       "'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
      {"X-Frame-Options", "DENY"},
      {"Referrer-Policy", "same-origin"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"}};
  for (const auto& [name, value] : kGuards) reply->headers.emplace_back(name, value);
}

HttpReply Asset(absl::string_view type, absl::string_view text) {
  HttpReply reply{.type = std::string(type), .body = std::string(text)};
  // Its address changes with its text.
  reply.headers.emplace_back("Cache-Control", "public, max-age=31536000, immutable");
  return reply;
}

}  // namespace

Console::Console(Parts parts)
    : parts_(std::move(parts)),
      rates_(TokenRates::kRate, TokenRates::kBurst),
      failures_(kFailures, kFailuresAtOnce) {}

HttpReply Console::Answer(const HttpRequest& request) {
  HttpReply reply = AnswerAnyone(request);
  AddGuards(&reply);
  return reply;
}

HttpReply Console::AnswerAnyone(const HttpRequest& request) {
  // Browsers ask for it by themselves; there is none.
  if (request.path == "/favicon.ico") {
    return {.code = 204, .reason = "No Content", .type = "image/x-icon"};
  }
  if (request.path == "/console.css") return Asset("text/css; charset=utf-8", StyleSheet());
  if (request.path == "/console.js") return Asset("text/javascript; charset=utf-8", Script());
  if (request.method != "GET" && request.method != "POST") {
    return {
        .code = 405, .reason = "Method Not Allowed", .type = "text/plain", .body = "GET, POST\n"};
  }
  if (request.method == "POST" && (request.content_type != kFormType || IsFromElsewhere(request))) {
    return {.code = 403,
            .reason = "Forbidden",
            .type = "text/plain",
            .body = "this form is not a form of this console\n"};
  }
  if (request.path == "/login" && request.method == "POST") return Login(request);
  const absl::Time now = parts_.clock->Now();
  const std::string id = SessionId(request);
  const LoginSession* const session = id.empty() ? nullptr : sessions_.Find(id, now);
  const std::optional<Token> token =
      session == nullptr ? std::nullopt : parts_.tokens->FindByHash(session->token_hash);
  if (!token.has_value()) {
    if (session != nullptr) sessions_.End(id);
    if (request.path == "/login") return LoginPage(200, "");
    // A changed page must not be lost, and no address may lead on to another site.
    return RedirectTo(Url("/login"));
  }
  if (!rates_.Take(*token, now)) {
    HttpReply reply = BarePage(429, "Too many requests", [](Html* html) {
      html->Put("p", "Too many requests: wait a second and load the page again.");
    });
    reply.headers.emplace_back("Retry-After", "1");
    return reply;
  }
  const Visitor visitor = {.token = &*token,
                           .caller = parts_.caller,
                           .csrf = session->csrf,
                           .zone = session->zone,
                           .now = now};
  if (request.method == "POST") return AnswerForm(request, visitor);
  if (request.path == "/login") return RedirectTo(Url("/"));
  if (request.path == "/live") return Live(id, now);
  const std::optional<Form> form = Form::Parse(request.query, /*lists=*/true);
  for (const Page& page : kPages) {
    if (request.path != page.path || !form.has_value()) continue;
    return page.answer(visitor, *form);
  }
  return NotFoundPage(visitor);
}

// Tells the script that something changed, so that it loads the page again.
HttpReply Console::Live(const std::string& id, absl::Time now) {
  auto next = [this, id, after = absl::ToUnixMicros(now),
               silent = 0]() mutable -> std::optional<std::string> {
    const LoginSession* const session = sessions_.Peek(id, parts_.clock->Now());
    if (session == nullptr) return std::nullopt;
    const std::optional<Token> token = parts_.tokens->FindByHash(session->token_hash);
    if (!token.has_value()) return std::nullopt;
    const absl::StatusOr<Json> events =
        parts_.caller->Run(ResourceAt("GET", "/events"), "", {{"after", after}}, *token);
    if (!events.ok()) return std::nullopt;
    if (events->empty()) return ++silent % kSilence == 0 ? ": \n\n" : "";
    after = std::max(after, Number(events->back(), "seq"));
    return "event: change\ndata:\n\n";
  };
  return {.type = "text/event-stream", .next = std::move(next)};
}

HttpReply Console::Login(const HttpRequest& request) {
  const absl::Time now = parts_.clock->Now();
  const std::optional<Form> form = Form::Parse(request.body);
  const std::string secret =
      form.has_value() ? std::string(absl::StripAsciiWhitespace(form->Get("token"))) : "";
  const std::optional<Token> token = parts_.tokens->Find(secret);
  if (!token.has_value()) {
    // A valid token is never refused because others guess.
    if (!failures_.Take(now)) {
      HttpReply reply = LoginPage(429, "Too many failures: wait a few seconds.");
      reply.headers.emplace_back("Retry-After", "5");
      return reply;
    }
    spdlog::warn("console: log-in with a token that is not known");
    return LoginPage(401, "This token is not known, or was revoked.");
  }
  const std::optional<std::string> id = sessions_.Begin(*token, ZoneNamed(form->Get("zone")), now);
  if (!id.has_value()) return LoginPage(503, "The server has no random bytes.");
  spdlog::info("console: token:{} logged in", token->name);
  HttpReply reply = RedirectTo(Url("/"));
  reply.headers.emplace_back("Set-Cookie", CookieFor(request, *id));
  return reply;
}

HttpReply Console::AnswerForm(const HttpRequest& request, const Visitor& visitor) {
  const std::optional<Form> form = Form::Parse(request.body);
  if (!form.has_value() || !SameSecret(form->Get("csrf"), visitor.csrf)) {
    HttpReply reply = PageReply(visitor, "", "Not done", [](Html* html) {
      html->Put("h1", "Not done");
      html->Put("p", "This form is not of this session. Load the page again.");
    });
    reply.code = 403;
    reply.reason = "Forbidden";
    return reply;
  }
  if (request.path == "/logout") {
    sessions_.End(SessionId(request));
    HttpReply reply = RedirectTo(Url("/login"));
    reply.headers.emplace_back("Set-Cookie", CookieFor(request, ""));
    return reply;
  }
  if (request.path == "/act") return Act(visitor, *form);
  return NotFoundPage(visitor);
}

}  // namespace deferd
