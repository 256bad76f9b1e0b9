#include "limiter/ctl/remote.h"

#include <curl/curl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "limiter/config/config.h"
#include "limiter/port/clock.h"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr size_t kMaxAnswer = size_t{1} << 28;
constexpr absl::string_view kLatePath = "/api/v1/late/";
constexpr absl::Duration kMargin = absl::Seconds(15);
// Between two looks for a late result.
constexpr absl::Duration kFirstPause = absl::Milliseconds(100), kLongestPause = absl::Seconds(5);
constexpr absl::Duration kLateRead = absl::Seconds(45);

struct Route {
  absl::string_view verb;
  absl::string_view action;  // of "do"; "": none
  const char* method;
  absl::string_view path;  // below /api/v1; "{NAME}" stands for the argument of that name
};
// A route with an argument in its path, before the one without.
constexpr Route kRoutes[] = {
    {"status", "", "GET", "/status"},
    {"check", "", "GET", "/subjects/{subject}/check"},
    {"why", "", "GET", "/subjects/{subject}"},
    {"blocks", "", "GET", "/blocks"},
    {"block", "", "POST", "/subjects/{subject}/block"},
    {"unblock", "", "POST", "/subjects/{subject}/unblock"},
    {"top", "", "GET", "/subjects"},
    {"track", "", "GET", "/subjects/{domain}/attempts"},
    {"track", "", "GET", "/attempts"},
    {"stats", "", "GET", "/subjects/{subject}/stats"},
    {"stats", "", "GET", "/stats"},
    {"incidents", "", "GET", "/incidents"},
    {"reload", "", "POST", "/reload"},
    {"exempt", "list", "GET", "/exemptions"},
    {"exempt", "add", "POST", "/exemptions"},
    {"exempt", "remove", "POST", "/exemptions/remove"},
    {"shadow", "report", "GET", "/shadow"},
    {"shadow", "right", "POST", "/shadow/right"},
    {"shadow", "wrong", "POST", "/shadow/wrong"},
    {"queue", "list", "GET", "/queue"},
    {"queue", "release", "POST", "/queue/release"},
    {"queue", "requeue", "POST", "/queue/requeue"},
    {"queue", "flush", "POST", "/queue/flush"},
};

std::string Escaped(const std::string& text) {
  char* const escaped = curl_easy_escape(nullptr, text.c_str(), static_cast<int>(text.size()));
  const std::string copy = escaped == nullptr ? "" : escaped;
  curl_free(escaped);
  return copy;
}

bool SaysNothing(const Json& value) {
  return value.is_null() || value == false ||
         (value.is_string() && value.get_ref<const std::string&>().empty());
}

// For everybody else on the way could read the token.
absl::Status CheckUrl(absl::string_view url) {
  // "http://localhost:80@other.example" is a name and password for other.example.
  if (absl::StrContains(url, '@') || absl::StrContains(url, '\\') || absl::StrContains(url, '?') ||
      absl::StrContains(url, '#')) {
    return absl::InvalidArgumentError(
        absl::StrCat(url,
                     ": has more than a host, a port and a path; use an address such as "
                     "https://mail.example.net"));
  }
  absl::string_view host = url;
  if (absl::ConsumePrefix(&host, "https://")) return absl::OkStatus();
  if (absl::ConsumePrefix(&host, "http://")) {
    for (absl::string_view local : {"127.0.0.1", "localhost", "[::1]"}) {
      absl::string_view rest = host;
      if (absl::ConsumePrefix(&rest, local) && (rest.empty() || rest[0] == ':' || rest[0] == '/')) {
        return absl::OkStatus();
      }
    }
    return absl::InvalidArgumentError(
        absl::StrCat(url, ": a token goes over TLS only; use https://"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat(url, ": not an address; use one such as https://mail.example.net"));
}

// Once, whatever the verb asks.
void WarnOfOpenTokenFile(const std::string& path) {
  static bool warned = false;
  struct stat file = {};
  if (warned || stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode) ||
      (file.st_mode & 0077) == 0) {
    return;
  }
  warned = true;
  std::fprintf(stderr,
               "deferctl: warning: %s: other users of this machine may use this token "
               "(mode %04o); chmod 600 it\n",
               path.c_str(), static_cast<unsigned>(file.st_mode & 07777));
}

absl::StatusOr<std::string> TokenOf(const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(
        "--url needs a token: give --token-file FILE, with what deferctl token add printed");
  }
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  WarnOfOpenTokenFile(path);
  const std::string token(absl::StripAsciiWhitespace(text->substr(0, text->find('\n'))));
  if (token.empty() || !std::all_of(token.begin(), token.end(), absl::ascii_isgraph)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": its first line is not a token"));
  }
  return token;
}

struct EndCurl {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

size_t Take(char* from, size_t size, size_t count, void* data) {
  auto* answer = static_cast<std::string*>(data);
  if (answer->size() + size * count > kMaxAnswer) return 0;
  answer->append(from, size * count);
  return size * count;
}

absl::Status NotReached(const std::string& url, CURLcode code, const char* detail) {
  const std::string what = PrintableUtf8(*detail != '\0' ? detail : curl_easy_strerror(code));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return absl::UnavailableError(
          absl::StrCat(url, ": TLS failed: ", what,
                       "; if a certificate authority of your own signed its certificate, name it "
                       "with --ca-file"));
    case CURLE_OPERATION_TIMEDOUT:
      return absl::UnavailableError(absl::StrCat(url, ": no answer in time: ", what));
    default:
      return absl::UnavailableError(absl::StrCat(url, ": cannot be reached: ", what));
  }
}

struct Fetched {
  long status = 0;
  std::string body;
};

absl::StatusOr<Fetched> Fetch(const RemoteDaemon& daemon, const std::string& token,
                              const RemoteRequest& request, absl::Duration limit) {
  const std::unique_ptr<CURL, EndCurl> curl(curl_easy_init());
  curl_slist* lines = nullptr;
  for (const std::string& line :
       {absl::StrCat("Authorization: Bearer ", token), std::string("Accept: application/json"),
        std::string("Content-Type: application/json"), std::string("Expect:")}) {
    lines = curl_slist_append(lines, line.c_str());
  }
  const std::unique_ptr<curl_slist, EndCurl> headers(lines);
  if (curl == nullptr || headers == nullptr) return absl::UnavailableError("out of memory");
  CURL* const c = curl.get();
  const std::string url = absl::StrCat(absl::StripSuffix(daemon.url, "/"), request.path);
  Fetched fetched;
  char error[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);  // the token is for this server alone
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(limit)));
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, Take);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &fetched.body);
  if (!daemon.ca_file.empty()) {
    curl_easy_setopt(c, CURLOPT_CAINFO, daemon.ca_file.c_str());
    curl_easy_setopt(c, CURLOPT_CAPATH, nullptr);  // these authorities, and no others
  }
  if (request.method == "POST") {
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  const CURLcode code = curl_easy_perform(c);
  if (code != CURLE_OK) return NotReached(daemon.url, code, error);
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &fetched.status);
  return fetched;
}

absl::StatusOr<Json> JsonOf(const RemoteDaemon& daemon, const Fetched& fetched) {
  const JsonLimits limits = {
      .max_bytes = kMaxAnswer, .max_depth = 16, .max_values = std::numeric_limits<size_t>::max()};
  Json json = JsonWithinLimits(fetched.body, limits)
                  ? Json::parse(fetched.body, nullptr, /*allow_exceptions=*/false)
                  : Json(nullptr);
  if (json.is_null() || json.is_discarded()) {
    return absl::UnavailableError(
        absl::StrCat(daemon.url, ": answered ", fetched.status,
                     ", but not as deferd's API does; does the proxy pass on /api/v1/?"));
  }
  return json;
}

absl::StatusOr<Json> ResultOf(const RemoteDaemon& daemon, long status, const std::string& verb,
                              const Json& json) {
  const std::string detail = PrintableUtf8(Field(json, "detail"));
  switch (status) {
    case 200:
      // The rows alone, as the socket answers.
      return verb == "track" ? At(json, "items") : json;
    case 202:
      return absl::UnavailableError(absl::StrCat(daemon.url, ": ", detail));
    case 401:
      return absl::PermissionDeniedError(
          absl::StrCat(daemon.url, ": the token in ", daemon.token_file, " is refused: ", detail));
    case 403:
      return absl::PermissionDeniedError(absl::StrCat(daemon.url, ": ", detail));
    default:
      return absl::FailedPreconditionError(
          absl::StrCat(daemon.url, ": ", detail.empty() ? absl::StrCat(status) : detail));
  }
}

// The address of a late result, below the server's; empty if it is none: the token goes nowhere
// else.
std::string LatePathOf(const Json& accepted) {
  const std::string path = Field(accepted, "result");
  absl::string_view id = path;
  if (!absl::ConsumePrefix(&id, kLatePath) || id.empty()) return "";
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '=';
  });
  return plain ? path : "";
}

absl::StatusOr<Json> LateResult(const RemoteDaemon& daemon, const std::string& token,
                                const std::string& verb, const std::string& path) {
  const std::string where = absl::StrCat(absl::StripSuffix(daemon.url, "/"), path);
  if (daemon.waits) {
    daemon.waits(
        absl::StrCat("this takes long and goes on; waiting for its result, which will be at ",
                     where, " for an hour"));
  }
  const absl::Duration end = SystemClock().Elapsed() + kLateLimit;
  absl::Duration pause = kFirstPause;
  while (SystemClock().Elapsed() < end) {
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
    const absl::StatusOr<Fetched> fetched =
        Fetch(daemon, token, {.method = "GET", .path = path, .body = ""}, kLateRead);
    // What fails on the way, or is too busy, may go the next time.
    if (!fetched.ok() || fetched->status == 429 || fetched->status >= 500) continue;
    absl::StatusOr<Json> json = JsonOf(daemon, *fetched);
    if (!json.ok()) return json.status();
    if (fetched->status != 200) return ResultOf(daemon, fetched->status, verb, *json);
    if (Field(*json, "status") == "running") continue;
    return ResultOf(daemon, static_cast<long>(Number(*json, "code")), verb, At(*json, "result"));
  }
  return absl::UnavailableError(absl::StrCat(
      daemon.url, ": it has not ended, or its result cannot be read; do not send it again: ", where,
      " has its result for an hour, for this token, and deferd's log says how it ended"));
}

}  // namespace

bool IsRemoteVerb(absl::string_view verb) {
  for (const Route& route : kRoutes) {
    if (route.verb == verb) return true;
  }
  return false;
}

absl::StatusOr<RemoteRequest> RemoteRequestOf(const std::string& verb, const Json& args) {
  const std::string action = Field(args, "do");
  for (const Route& route : kRoutes) {
    if (route.verb != verb || route.action != action) continue;
    const size_t open = route.path.find('{'), close = route.path.find('}');
    const bool named = open != absl::string_view::npos;
    const std::string in_path(named ? route.path.substr(open + 1, close - open - 1) : "");
    if (named && Field(args, in_path.c_str()).empty()) continue;
    RemoteRequest request = {.method = route.method, .path = absl::StrCat("/api/v1", route.path)};
    if (named) {
      request.path =
          absl::StrCat("/api/v1", route.path.substr(0, open), Escaped(Field(args, in_path.c_str())),
                       route.path.substr(close + 1));
    }
    Json body = Json::object();
    std::string query;
    for (const auto& [name, value] : args.items()) {
      if (name == "do" || name == in_path || SaysNothing(value)) continue;
      // Where nothing comes before, the API has no number for it.
      if (name == "before" && value == 0) continue;
      body[name] = value;
      absl::StrAppend(&query, query.empty() ? "?" : "&", name, "=",
                      Escaped(value.is_string() ? value.get<std::string>() : Dump(value)));
    }
    if (request.method == "GET") {
      request.path += query;
    } else {
      request.body = Dump(body);
    }
    return request;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      verb, action.empty() ? "" : " ", action, ": works on the server itself only, without --url"));
}

absl::StatusOr<Json> CallRemote(const RemoteDaemon& daemon, const std::string& verb,
                                const Json& args, absl::Duration limit) {
  if (absl::Status valid = CheckUrl(daemon.url); !valid.ok()) return valid;
  absl::StatusOr<RemoteRequest> request = RemoteRequestOf(verb, args);
  if (!request.ok()) return request.status();
  absl::StatusOr<std::string> token = TokenOf(daemon.token_file);
  if (!token.ok()) return token.status();

  const absl::StatusOr<Fetched> fetched = Fetch(daemon, *token, *request, limit + kMargin);
  if (!fetched.ok()) return fetched.status();
  absl::StatusOr<Json> json = JsonOf(daemon, *fetched);
  if (!json.ok()) return json.status();
  const std::string late = fetched->status == 202 ? LatePathOf(*json) : "";
  return late.empty() ? ResultOf(daemon, fetched->status, verb, *json)
                      : LateResult(daemon, *token, verb, late);
}

}  // namespace deferd
