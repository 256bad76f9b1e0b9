#include "exporter/console/guards.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace deferd {

bool IsFromElsewhere(const HttpRequest& request) {
  if (!request.fetch_site.empty()) {
    return request.fetch_site != "same-origin" && request.fetch_site != "none";
  }
  if (request.origin.empty()) return false;
  absl::string_view origin = request.origin, host = request.host;
  if (absl::ConsumePrefix(&origin, "https://")) {
    origin = absl::StripSuffix(origin, ":443");
    host = absl::StripSuffix(host, ":443");
  } else if (absl::ConsumePrefix(&origin, "http://")) {
    origin = absl::StripSuffix(origin, ":80");
    host = absl::StripSuffix(host, ":80");
  } else {
    return true;  // "null": a page that hides where it comes from
  }
  return !absl::EqualsIgnoreCase(origin, host);
}

void AddGuards(PageKind kind, HttpReply* reply) {
  static constexpr std::pair<const char*, const char*> kGuards[] = {
      {"X-Frame-Options", "DENY"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
      {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (kind == PageKind::kConsole) {
    reply->headers.emplace_back(
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src "
        "'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    reply->headers.emplace_back("Referrer-Policy", "same-origin");
  } else {
    reply->headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; style-src 'self'; form-action 'self'; "
                                "base-uri 'none'; frame-ancestors 'none'");
    reply->headers.emplace_back("X-Robots-Tag", "noindex, nofollow");
    // Its address is a secret, which not even the request for the stylesheet repeats: a proxy's log
    // may keep it.
    reply->headers.emplace_back("Referrer-Policy", "strict-origin");
  }
  for (const auto& [name, value] : kGuards) reply->headers.emplace_back(name, value);
}

void GuardAnswer(PageKind kind, std::function<HttpReply(bool begun)> late, HttpReply* reply) {
  if (reply->work) {
    reply->work = [kind, work = std::move(reply->work)] {
      HttpReply done = work();
      AddGuards(kind, &done);
      return done;
    };
    reply->late = [kind, late = std::move(late)](bool begun) {
      HttpReply instead = late(begun);
      AddGuards(kind, &instead);
      return instead;
    };
  }
  AddGuards(kind, reply);
}

HttpReply Asset(absl::string_view type, absl::string_view text) {
  HttpReply reply{.type = std::string(type), .body = std::string(text)};
  reply.headers.emplace_back("Cache-Control", "public, max-age=31536000, immutable");
  return reply;
}

}  // namespace deferd
