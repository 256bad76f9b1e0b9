#include "exporter/console/console.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "exporter/api/form.h"
#include "exporter/api/secret.h"
#include "exporter/console/assets.h"
#include "exporter/console/guards.h"
#include "exporter/console/pages.h"
#include "limiter/port/log.h"

namespace deferd {
namespace {

// Without the __Host- prefix where there is no TLS: browsers refuse it there.
constexpr char kCookie[] = "deferd_session";
constexpr char kLoginCookie[] = "deferd_login";
constexpr char kSecurePrefix[] = "__Host-";
constexpr absl::Duration kLoginPage = absl::Hours(1);  // that a log-in's form is good for

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

// The cookie's value. Behind TLS the name has the prefix, so that no other host and no page
// without TLS can have set it.
std::string CookieValue(const HttpRequest& request, absl::string_view name) {
  const std::string whole = absl::StrCat(request.secure ? kSecurePrefix : "", name);
  for (absl::string_view pair : absl::StrSplit(request.cookie, ';')) {
    pair = absl::StripAsciiWhitespace(pair);
    if (absl::ConsumePrefix(&pair, whole) && absl::ConsumePrefix(&pair, "=")) {
      return std::string(pair);
    }
  }
  return "";
}
std::string SessionId(const HttpRequest& request) { return CookieValue(request, kCookie); }

void SetCookie(const HttpRequest& request, absl::string_view name, const std::string& value,
               absl::Duration lifetime, HttpReply* reply) {
  reply->headers.emplace_back(
      "Set-Cookie",
      absl::StrCat(request.secure ? kSecurePrefix : "", name, "=", value,
                   "; Path=/; HttpOnly; SameSite=Strict", request.secure ? "; Secure" : "",
                   "; Max-Age=", value.empty() ? 0 : absl::ToInt64Seconds(lifetime)));
}

// A page of another site cannot log its reader in to a session of its author: the form carries what
// the cookie holds.
HttpReply LoginPage(const HttpRequest& request, int code, absl::string_view problem) {
  std::string key = CookieValue(request, kLoginCookie);
  const bool fresh = key.empty();
  if (fresh) key = NewSecret().value_or("");
  HttpReply reply = BarePage(code, "Log in", [&](Html* html) {
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
    WriteHidden(html, "key", key);
    html->Void("input", {{"type", "hidden"}, {"name", "zone"}, {"data-zone", ""}});
    html->Put("button", "Log in");
    html->PutAs("p", "faint", "deferctl token add NAME on the server creates one.");
  });
  if (fresh) SetCookie(request, kLoginCookie, key, kLoginPage, &reply);
  return reply;
}

HttpReply BusyPage(bool acts, bool begun) {
  const int code = !begun ? 503 : acts ? 202 : 504;
  return BarePage(code, "Busy", [&](Html* html) {
    html->Put("h1", begun && acts ? "Still running" : "Busy");
    html->Put("p", !begun ? "Nothing was done. Wait a few seconds and try again."
                   : acts ? "This takes longer than usual and goes on. Do not send it again: the "
                            "subject's page shows soon what came of it, and deferd's log how it "
                            "ended."
                          : "This takes too long. Ask for a shorter time, or with more filters.");
    html->Link(Url("/"), "Now");
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

// Later, on another thread.
HttpReply InBackground(const TokenBook* tokens, const Clock* clock, const Visitor& visitor,
                       const Form& form, HttpReply (*answer)(const Visitor&, const Form&)) {
  HttpReply reply;
  reply.owner = visitor.token->name;
  reply.work = [tokens, clock, visitor, form, answer, token = *visitor.token] {
    // It may have waited, and the token is not what it was.
    const std::optional<Token> now = tokens->FindByHash(token.hash, clock->Now());
    if (!now.has_value() || !now->SameRights(token)) return RedirectTo(Url("/login"));
    Visitor same = visitor;
    same.token = &token;
    return answer(same, form);
  };
  return reply;
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

}  // namespace

Console::Console(Parts parts)
    : parts_(std::move(parts)),
      rates_(TokenRates::kRate, TokenRates::kBurst),
      failures_(kFailures, kFailuresAtOnce) {}

HttpReply Console::Answer(const HttpRequest& request) {
  HttpReply reply = AnswerAnyone(request);
  GuardAnswer(
      PageKind::kConsole,
      [acts = request.method == "POST"](bool begun) { return BusyPage(acts, begun); }, &reply);
  return reply;
}

// A session must not outlive its token, nor the token's rights.
void Console::EndRevoked() {
  const int64_t version = parts_.tokens->version();
  if (std::exchange(tokens_version_, version) == version) return;
  sessions_.EndIf([&](const LoginSession& session) {
    const std::optional<Token> token =
        parts_.tokens->FindByHash(session.token.hash, parts_.clock->Now());
    return !token.has_value() || !token->SameRights(session.token);
  });
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
  if (!parts_.tokens->problem().ok()) {
    return BarePage(503, "Not available", [](Html* html) {
      html->Put("h1", "Nobody can log in now");
      html->Put("p",
                "deferd's file of tokens cannot be read. deferctl status on the server says why.");
    });
  }
  EndRevoked();
  if (request.path == "/login" && request.method == "POST") return Login(request);
  const absl::Time now = parts_.clock->Now();
  const std::string id = SessionId(request);
  const LoginSession* const session = id.empty() ? nullptr : sessions_.Find(id, now);
  const std::optional<Token> token =
      session == nullptr ? std::nullopt : parts_.tokens->FindByHash(session->token.hash, now);
  if (!token.has_value()) {
    if (session != nullptr) sessions_.End(id);
    if (request.path == "/login") return LoginPage(request, 200, "");
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
  if (request.path == "/live") return Live(id, token->name, now);
  const std::optional<Form> form = Form::Parse(request.query, /*lists=*/true);
  for (const Page& page : kPages) {
    if (request.path != page.path || !form.has_value()) continue;
    return InBackground(parts_.tokens, parts_.clock, visitor, *form, page.answer);
  }
  return NotFoundPage(visitor);
}

// Tells the script that something changed, so that it loads the page again.
HttpReply Console::Live(const std::string& id, const std::string& owner, absl::Time now) {
  auto next = [this, id, after = absl::ToUnixMicros(now),
               silent = 0]() mutable -> std::optional<std::string> {
    const absl::Time when = parts_.clock->Now();
    const LoginSession* const session = sessions_.Peek(id, when);
    if (session == nullptr) return std::nullopt;
    const std::optional<Token> token = parts_.tokens->FindByHash(session->token.hash, when);
    if (!token.has_value() || !token->SameRights(session->token)) return std::nullopt;
    const absl::StatusOr<Json> events = parts_.caller->News(*token, &after);
    if (!events.ok()) return std::nullopt;
    if (events->empty()) return ++silent % kSilence == 0 ? ": \n\n" : "";
    return "event: change\ndata:\n\n";
  };
  return {.type = "text/event-stream", .next = std::move(next), .owner = owner};
}

HttpReply Console::Login(const HttpRequest& request) {
  const absl::Time now = parts_.clock->Now();
  const std::optional<Form> form = Form::Parse(request.body);
  const std::string secret =
      form.has_value() ? std::string(absl::StripAsciiWhitespace(form->Get("token"))) : "";
  const std::string key = CookieValue(request, kLoginCookie);
  if (!form.has_value() || key.empty() || !SameSecret(form->Get("key"), key)) {
    return LoginPage(request, 403, "This page was too old. Log in again.");
  }
  const std::optional<Token> token = parts_.tokens->Find(secret, now);
  if (!token.has_value()) {
    const bool slow = failures_.Take(secret, now);
    if (const int64_t failures = failures_.Report(now); failures > 0) {
      spdlog::warn("console: {} log-ins with a token that is not known", failures);
    }
    // A valid token is never refused because others guess.
    if (!slow) {
      HttpReply reply = LoginPage(request, 429, "Too many failures: wait a few seconds.");
      reply.headers.emplace_back("Retry-After", "5");
      return reply;
    }
    if (const std::optional<Token> over = parts_.tokens->FindExpired(secret, now)) {
      spdlog::warn("console: log-in of token:{} was refused: it expired at {}", over->name,
                   FormatUtc(over->expires));
      return LoginPage(request, 401,
                       "This token has expired. Ask the administrator for a new one.");
    }
    return LoginPage(request, 401, "This token is not known, or was revoked.");
  }
  if (!rates_.Take(*token, now)) {
    return LoginPage(request, 429, "Too many requests: wait a second.");
  }
  // Who logs in again leaves no session behind.
  if (const std::string before = SessionId(request); !before.empty()) sessions_.End(before);
  const std::optional<std::string> id = sessions_.Begin(*token, ZoneNamed(form->Get("zone")), now);
  if (!id.has_value()) return LoginPage(request, 503, "The server has no random bytes.");
  spdlog::info("console: token:{} logged in", token->name);
  HttpReply reply = RedirectTo(Url("/"));
  SetCookie(request, kCookie, *id, Sessions::kLongest, &reply);
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
    SetCookie(request, kCookie, "", absl::ZeroDuration(), &reply);
    return reply;
  }
  if (request.path == "/act") return InBackground(parts_.tokens, parts_.clock, visitor, *form, Act);
  if (request.path == "/policy") {
    return InBackground(parts_.tokens, parts_.clock, visitor, *form, TriedPolicyPage);
  }
  return NotFoundPage(visitor);
}

}  // namespace deferd
