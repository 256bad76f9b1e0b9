#include "limiter/store/redis_connection.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis_scripts.h"
#include "limiter/store/shared_trouble.h"

namespace deferd {

namespace {

// `key` names the file in messages.
absl::StatusOr<std::string> ReadPassword(absl::string_view key, const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file.is_open() || file.bad()) {
    return TroubleStatus(SharedTrouble::kPassword,
                         absl::StrCat(key, " ", path, ": ", std::strerror(errno)));
  }
  std::string password(absl::StripAsciiWhitespace(text.str()));
  if (password.empty()) {
    return TroubleStatus(SharedTrouble::kPassword, absl::StrCat(key, " ", path, ": is empty"));
  }
  return password;
}

RedisCommand Auth(const std::string& user, const std::string& password) {
  return user.empty() ? RedisCommand{"AUTH", password} : RedisCommand{"AUTH", user, password};
}

// The answer of one of them.
absl::StatusOr<RedisReply> AskSentinel(const RedisEndpoint& sentinel, const RedisAddress& address,
                                       absl::Duration deadline) {
  std::vector<RedisCommand> commands;
  if (!address.sentinel_password_file.empty()) {
    absl::StatusOr<std::string> password =
        ReadPassword("sentinel_password_file", address.sentinel_password_file);
    if (!password.ok()) return password.status();
    commands.push_back(Auth(address.sentinel_user, *password));
  }
  commands.push_back({"SENTINEL", "get-master-addr-by-name", address.master});
  RedisLink link;
  absl::Status status = link.Connect(sentinel, address.tls, deadline);
  if (!status.ok()) return status;
  absl::StatusOr<std::vector<RedisReply>> replies = link.Run(commands, deadline);
  if (!replies.ok()) return replies.status();
  for (const RedisReply& reply : *replies) status.Update(reply.status());
  if (!status.ok()) return status;
  return std::move(replies->back());
}

}  // namespace

RedisConnection::~RedisConnection() = default;

void RedisConnection::Close() { link_.Close(); }

absl::Status RedisConnection::Open(const RedisAddress& address, absl::Duration deadline) {
  Close();
  deadline_ = deadline;
  server_ = address.server;
  absl::Status status;
  if (!address.path.empty()) {
    status = link_.ConnectUnix(address.path, deadline);
  } else {
    if (!address.sentinels.empty()) {
      absl::StatusOr<RedisEndpoint> master = AskSentinels(address, deadline);
      if (!master.ok()) return master.status();
      server_ = *std::move(master);
    }
    status = link_.Connect(server_, address.tls, deadline);
  }
  if (status.ok()) status = LogIn(address);
  if (!status.ok()) Close();
  return status;
}

absl::Status RedisConnection::LogIn(const RedisAddress& address) {
  std::string password = address.password;
  if (!address.password_file.empty()) {
    absl::StatusOr<std::string> read = ReadPassword("password_file", address.password_file);
    if (!read.ok()) return read.status();
    password = *std::move(read);
  }
  std::vector<RedisCommand> commands;
  if (!password.empty()) {
    commands.push_back(Auth(address.user, password));
  }
  if (address.db != 0) commands.push_back({"SELECT", absl::StrCat(address.db)});
  commands.push_back({address.cluster.empty() ? "ROLE" : "PING"});
  absl::StatusOr<std::vector<RedisReply>> replies = Run(commands);
  if (!replies.ok()) return replies.status();
  absl::Status status;
  for (const RedisReply& reply : *replies) status.Update(reply.status());
  const RedisReply& role = replies->back();
  if (status.ok() && address.cluster.empty() &&
      (role.list.empty() || role.list[0].text != "master")) {
    status = TroubleStatus(SharedTrouble::kReadOnly, "it is a replica, not the master");
  }
  return status;
}

absl::StatusOr<std::vector<RedisReply>> RedisConnection::Run(
    absl::Span<const RedisCommand> commands, absl::Duration wait) {
  return link_.Run(commands, deadline_ + wait);
}

absl::StatusOr<RedisReply> RedisConnection::Run(const RedisCommand& command, absl::Duration wait) {
  absl::StatusOr<std::vector<RedisReply>> replies = Run(absl::MakeConstSpan(&command, 1), wait);
  if (!replies.ok()) return replies.status();
  absl::Status status = replies->front().status();
  if (!status.ok()) return status;
  return std::move(replies->front());
}

absl::StatusOr<std::vector<RedisReply>> RedisConnection::RunScripts(
    absl::Span<const RedisCommand> commands, absl::Duration wait) {
  absl::StatusOr<std::vector<RedisReply>> replies = Run(commands, wait);
  if (!replies.ok()) return replies.status();
  std::vector<size_t> again;
  for (size_t i = 0; i < replies->size(); ++i) {
    const RedisReply& reply = (*replies)[i];
    if (reply.kind == RedisReply::Kind::kError && absl::StartsWith(reply.text, "NOSCRIPT")) {
      again.push_back(i);
    }
  }
  if (again.empty()) return replies;
  std::vector<RedisCommand> load;
  for (absl::string_view text : RedisScriptTexts()) {
    load.push_back({"SCRIPT", "LOAD", std::string(text)});
  }
  absl::StatusOr<std::vector<RedisReply>> loaded = Run(load);
  if (!loaded.ok()) return loaded.status();
  for (const RedisReply& reply : *loaded) {
    absl::Status status = reply.status();
    if (!status.ok()) return status;
  }
  std::vector<RedisCommand> retried;
  for (size_t i : again) retried.push_back(commands[i]);
  absl::StatusOr<std::vector<RedisReply>> second = Run(retried, wait);
  if (!second.ok()) return second.status();
  for (size_t i = 0; i < again.size(); ++i) (*replies)[again[i]] = std::move((*second)[i]);
  return replies;
}

absl::StatusOr<RedisEndpoint> AskSentinels(const RedisAddress& address, absl::Duration deadline) {
  std::string troubles;
  for (const RedisEndpoint& sentinel : address.sentinels) {
    absl::StatusOr<RedisReply> reply = AskSentinel(sentinel, address, deadline);
    RedisEndpoint master;
    if (reply.ok() && reply->list.size() == 2 &&
        absl::SimpleAtoi(reply->list[1].text, &master.port)) {
      master.host = reply->list[0].text;
      return master;
    }
    absl::StrAppend(&troubles, troubles.empty() ? "" : "; ", sentinel.host, ":", sentinel.port);
    if (reply.ok()) {
      absl::StrAppend(&troubles, " knows no such master");
    } else if (TroubleOf(reply.status()) == SharedTrouble::kGone) {
      absl::StrAppend(&troubles, " does not answer");
    } else {
      absl::StrAppend(&troubles, ": ", std::string(reply.status().message()));
    }
    if (TroubleOf(reply.status()) == SharedTrouble::kPassword) {
      absl::StrAppend(&troubles,
                      " (sentinels have a user and password of their own: [shared] "
                      "sentinel_user and sentinel_password_file)");
    }
  }
  return TroubleStatus(SharedTrouble::kNoMaster, troubles);
}

}  // namespace deferd
