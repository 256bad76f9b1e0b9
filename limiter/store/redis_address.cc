#include "limiter/store/redis_address.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr int kRedisPort = 6379;
constexpr int kSentinelPort = 26379;

absl::Status Expected(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(what,
                   "; write redis://USER:PASSWORD@HOST:6379/0, redis+unix:///PATH, "
                   "redis+sentinel://HOST:26379,HOST:26379/MASTER, or "
                   "redis+cluster://HOST:6379,HOST:6379; with TLS rediss://HOST:6379, "
                   "rediss+sentinel://HOST:26379/MASTER, or rediss+cluster://HOST:6379"));
}

std::optional<std::string> Unescaped(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    int byte = 0;
    if (i + 2 >= text.size() || !absl::SimpleHexAtoi(text.substr(i + 1, 2), &byte)) {
      return std::nullopt;
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

std::optional<RedisEndpoint> ParseEndpoint(absl::string_view text, int default_port) {
  RedisEndpoint endpoint;
  endpoint.port = default_port;
  absl::string_view port;
  if (absl::ConsumePrefix(&text, "[")) {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos) return std::nullopt;
    endpoint.host = std::string(text.substr(0, end));
    port = text.substr(end + 1);
    if (!port.empty() && !absl::ConsumePrefix(&port, ":")) return std::nullopt;
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    endpoint.host = std::string(text.substr(0, colon));
    if (colon < text.size()) port = text.substr(colon + 1);
    if (colon + 1 == text.size()) return std::nullopt;
  }
  if (endpoint.host.empty()) return std::nullopt;
  if (!port.empty() &&
      (!absl::SimpleAtoi(port, &endpoint.port) || endpoint.port < 1 || endpoint.port > 65535)) {
    return std::nullopt;
  }
  return endpoint;
}

bool ParseDb(absl::string_view text, int* db) {
  return absl::SimpleAtoi(text, db) && *db >= 0 && *db < 1'000'000;
}

absl::Status ParseEndpoints(absl::string_view text, int default_port,
                            std::vector<RedisEndpoint>* endpoints) {
  for (absl::string_view one : absl::StrSplit(text, ',')) {
    std::optional<RedisEndpoint> endpoint = ParseEndpoint(one, default_port);
    if (!endpoint.has_value()) return Expected(absl::StrCat(Quoted(one), " is no HOST:PORT"));
    endpoints->push_back(*std::move(endpoint));
  }
  return absl::OkStatus();
}

std::string EndpointsText(const std::vector<RedisEndpoint>& endpoints) {
  return absl::StrJoin(endpoints, ",", [](std::string* out, const RedisEndpoint& one) {
    absl::StrAppend(out, one.ToString());
  });
}

}  // namespace

std::string RedisEndpoint::ToString() const {
  const bool v6 = absl::StrContains(host, ':');
  return absl::StrCat(v6 ? "[" : "", host, v6 ? "]" : "", ":", port);
}

absl::StatusOr<RedisAddress> RedisAddress::Parse(absl::string_view text, Password in) {
  enum { kServer, kUnix, kSentinel, kCluster } form = kServer;
  RedisAddress address;
  if (absl::ConsumePrefix(&text, "redis+unix://")) {
    form = kUnix;
  } else if (absl::ConsumePrefix(&text, "redis+sentinel://")) {
    form = kSentinel;
  } else if (absl::ConsumePrefix(&text, "rediss+sentinel://")) {
    form = kSentinel;
    address.tls.emplace();
  } else if (absl::ConsumePrefix(&text, "redis+cluster://")) {
    form = kCluster;
  } else if (absl::ConsumePrefix(&text, "rediss+cluster://")) {
    form = kCluster;
    address.tls.emplace();
  } else if (absl::ConsumePrefix(&text, "rediss://")) {
    address.tls.emplace();
  } else if (!absl::ConsumePrefix(&text, "redis://")) {
    return Expected("no address of a Redis");
  }
  // A path may hold an '@'; what comes before the first '/' may not, unless it is a user.
  const size_t slash = std::min(text.find('/'), text.size());
  const size_t at = text.substr(0, slash).rfind('@');
  if (at != absl::string_view::npos) {
    const std::pair<absl::string_view, absl::string_view> who =
        absl::StrSplit(text.substr(0, at), absl::MaxSplits(':', 1));
    const std::optional<std::string> user = Unescaped(who.first);
    const std::optional<std::string> password = Unescaped(who.second);
    if (!user.has_value() || !password.has_value()) {
      return Expected("user or password holds a '%' that is not followed by two hex digits");
    }
    address.user = *user;
    address.password = *password;
    if (in == Password::kInText && address.password.empty()) {
      return Expected("a user without a password (it may also stand in [shared] password_file)");
    }
    if (in == Password::kInFile && !address.password.empty()) {
      return Expected("a password here, and another in password_file: leave out one of them");
    }
    text.remove_prefix(at + 1);
  } else if (form != kUnix && absl::StrContains(text, '@')) {
    // Not shown: it is a part of the password.
    return Expected("user or password holds a '/'; write it as %2F");
  }
  if (form == kUnix) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(text, absl::MaxSplits("?db=", 1));
    if (!absl::StartsWith(parts.first, "/")) return Expected("the socket's path is not absolute");
    if (parts.first.size() > 107) return Expected("the socket's path is longer than 107 bytes");
    address.path = std::string(parts.first);
    if (!parts.second.empty() && !ParseDb(parts.second, &address.db)) {
      return Expected(absl::StrCat(Quoted(parts.second), " is no number of a database"));
    }
    return address;
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  if (form == kCluster) {
    // A cluster has one database.
    if (parts.size() > 2 || (parts.size() == 2 && !parts[1].empty())) {
      return Expected("there is too much after the servers of a cluster");
    }
    absl::Status status = ParseEndpoints(parts[0], kRedisPort, &address.cluster);
    if (!status.ok()) return status;
    return address;
  }
  size_t db_at = 1;
  if (form == kServer) {
    std::optional<RedisEndpoint> server = ParseEndpoint(parts[0], kRedisPort);
    if (!server.has_value()) return Expected(absl::StrCat(Quoted(parts[0]), " is no HOST:PORT"));
    address.server = *std::move(server);
  } else {
    absl::Status status = ParseEndpoints(parts[0], kSentinelPort, &address.sentinels);
    if (!status.ok()) return status;
    if (parts.size() < 2 || parts[1].empty()) return Expected("the master's name is missing");
    address.master = std::string(parts[1]);
    db_at = 2;
  }
  if (parts.size() > db_at + 1) return Expected("there is too much after the number of a database");
  if (parts.size() > db_at && !parts[db_at].empty() && !ParseDb(parts[db_at], &address.db)) {
    return Expected(absl::StrCat(Quoted(parts[db_at]), " is no number of a database"));
  }
  return address;
}

std::string RedisAddress::ToString() const {
  const std::string db_text = db == 0 ? "" : absl::StrCat("/", db);
  if (!path.empty())
    return absl::StrCat("redis+unix://", path,
                        db == 0 ? "" : "?db=", db == 0 ? "" : absl::StrCat(db));
  const char* scheme = tls.has_value() ? "rediss" : "redis";
  if (!cluster.empty()) return absl::StrCat(scheme, "+cluster://", EndpointsText(cluster));
  if (sentinels.empty()) return absl::StrCat(scheme, "://", server.ToString(), db_text);
  return absl::StrCat(scheme, "+sentinel://", EndpointsText(sentinels), "/", master, db_text);
}

}  // namespace deferd
