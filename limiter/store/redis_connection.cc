#include "limiter/store/redis_connection.h"

#include <hiredis/hiredis.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/shared_trouble.h"

namespace deferd {

namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

RedisReply ToReply(const redisReply& reply) {
  RedisReply out;
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      out.kind = RedisReply::Kind::kInteger;
      out.integer = reply.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.kind = RedisReply::Kind::kText;
      out.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_ERROR:
      out.kind = RedisReply::Kind::kError;
      out.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_ARRAY:
      out.kind = RedisReply::Kind::kList;
      out.list.reserve(reply.elements);
      for (size_t i = 0; i < reply.elements; ++i) out.list.push_back(ToReply(*reply.element[i]));
      break;
    default:
      break;
  }
  return out;
}

}  // namespace

absl::Status RedisReply::status() const {
  if (kind != Kind::kError) return absl::OkStatus();
  return TroubleStatus(TroubleOfRedisError(text), text);
}

void RedisConnection::Free::operator()(redisContext* context) const { redisFree(context); }

RedisConnection::~RedisConnection() = default;

void RedisConnection::Close() { context_.reset(); }

absl::Status RedisConnection::Broken() {
  absl::Status status;
  if (context_ == nullptr) return TroubleStatus(SharedTrouble::kGone, "there is no connection");
  const bool late = context_->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK ||
                                                      errno == ETIMEDOUT || errno == EINPROGRESS);
  if (late) {
    status = TroubleStatus(SharedTrouble::kSlow,
                           absl::StrCat("no answer within ", absl::FormatDuration(set_deadline_)));
  } else {
    status = TroubleStatus(SharedTrouble::kGone, context_->errstr);
  }
  Close();
  return status;
}

absl::Status RedisConnection::Adopt(redisContext* context) {
  context_.reset(context);
  if (context == nullptr) return TroubleStatus(SharedTrouble::kGone, "out of memory");
  if (context->err != 0) return Broken();
  set_deadline_ = deadline_;
  if (redisSetTimeout(context, absl::ToTimeval(deadline_)) != REDIS_OK) return Broken();
  return absl::OkStatus();
}

absl::Status RedisConnection::Open(const RedisAddress& address, absl::Duration deadline) {
  Close();
  deadline_ = set_deadline_ = deadline;
  if (!address.path.empty()) {
    server_ = {};
    absl::Status made =
        Adopt(redisConnectUnixWithTimeout(address.path.c_str(), absl::ToTimeval(deadline_)));
    return made.ok() ? LogIn(address) : made;
  }
  if (address.sentinels.empty()) return OpenTo(address, address.server);
  absl::StatusOr<RedisEndpoint> master = AskSentinels(address, deadline);
  return master.ok() ? OpenTo(address, *master) : master.status();
}

absl::Status RedisConnection::OpenTo(const RedisAddress& address, const RedisEndpoint& server) {
  server_ = server;
  absl::Status made =
      Adopt(redisConnectWithTimeout(server.host.c_str(), server.port, absl::ToTimeval(deadline_)));
  return made.ok() ? LogIn(address) : made;
}

absl::Status RedisConnection::LogIn(const RedisAddress& address) {
  std::vector<RedisCommand> commands;
  if (!address.password.empty()) {
    commands.push_back(address.user.empty() ? RedisCommand{"AUTH", address.password}
                                            : RedisCommand{"AUTH", address.user, address.password});
  }
  if (address.db != 0) commands.push_back({"SELECT", absl::StrCat(address.db)});
  commands.push_back({"ROLE"});
  absl::StatusOr<std::vector<RedisReply>> replies = Run(commands);
  if (!replies.ok()) return replies.status();
  absl::Status status;
  for (const RedisReply& reply : *replies) status.Update(reply.status());
  const RedisReply& role = replies->back();
  if (status.ok() && (role.list.empty() || role.list[0].text != "master")) {
    status = TroubleStatus(SharedTrouble::kReadOnly, "it is a replica, not the master");
  }
  if (!status.ok()) Close();
  return status;
}

absl::StatusOr<std::vector<RedisReply>> RedisConnection::Run(
    absl::Span<const RedisCommand> commands, absl::Duration wait) {
  if (!open()) return Broken();
  if (set_deadline_ != deadline_ + wait) {
    set_deadline_ = deadline_ + wait;
    if (redisSetTimeout(context_.get(), absl::ToTimeval(set_deadline_)) != REDIS_OK) {
      return Broken();
    }
  }
  std::vector<const char*> texts;
  std::vector<size_t> sizes;
  for (const RedisCommand& command : commands) {
    texts.clear();
    sizes.clear();
    for (const std::string& argument : command) {
      texts.push_back(argument.data());
      sizes.push_back(argument.size());
    }
    if (redisAppendCommandArgv(context_.get(), static_cast<int>(texts.size()), texts.data(),
                               sizes.data()) != REDIS_OK) {
      return Broken();
    }
  }
  std::vector<RedisReply> replies;
  replies.reserve(commands.size());
  for (size_t i = 0; i < commands.size(); ++i) {
    void* reply = nullptr;
    errno = 0;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK || reply == nullptr) return Broken();
    const std::unique_ptr<redisReply, FreeReply> owned(static_cast<redisReply*>(reply));
    replies.push_back(ToReply(*owned));
  }
  return replies;
}

absl::StatusOr<RedisReply> RedisConnection::Run(const RedisCommand& command, absl::Duration wait) {
  absl::StatusOr<std::vector<RedisReply>> replies = Run(absl::MakeConstSpan(&command, 1), wait);
  if (!replies.ok()) return replies.status();
  absl::Status status = replies->front().status();
  if (!status.ok()) return status;
  return std::move(replies->front());
}

absl::StatusOr<RedisEndpoint> AskSentinels(const RedisAddress& address, absl::Duration deadline) {
  std::string troubles;
  for (const RedisEndpoint& sentinel : address.sentinels) {
    const std::unique_ptr<redisContext, decltype(&redisFree)> context(
        redisConnectWithTimeout(sentinel.host.c_str(), sentinel.port, absl::ToTimeval(deadline)),
        &redisFree);
    const std::string name = absl::StrCat(sentinel.host, ":", sentinel.port);
    if (context == nullptr || context->err != 0 ||
        redisSetTimeout(context.get(), absl::ToTimeval(deadline)) != REDIS_OK) {
      absl::StrAppend(&troubles, troubles.empty() ? "" : "; ", name, " does not answer");
      continue;
    }
    const std::unique_ptr<redisReply, FreeReply> reply(
        static_cast<redisReply*>(redisCommand(context.get(), "SENTINEL get-master-addr-by-name %b",
                                              address.master.data(), address.master.size())));
    RedisReply answer = reply == nullptr ? RedisReply() : ToReply(*reply);
    RedisEndpoint master;
    if (answer.list.size() == 2 && absl::SimpleAtoi(answer.list[1].text, &master.port)) {
      master.host = answer.list[0].text;
      return master;
    }
    absl::StrAppend(&troubles, troubles.empty() ? "" : "; ", name,
                    reply == nullptr ? " does not answer" : " knows no such master");
  }
  return TroubleStatus(SharedTrouble::kNoMaster, troubles);
}

}  // namespace deferd
