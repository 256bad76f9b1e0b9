#include "limiter/store/redis_link.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/shared_trouble.h"

namespace deferd {

namespace {

using Steady = std::chrono::steady_clock;

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

bool AnswersWithoutTls(const RedisEndpoint& server, absl::Duration deadline) {
  RedisLink plain;
  const std::vector<RedisCommand> ping = {{"PING"}};
  return plain.Connect(server, std::nullopt, deadline).ok() && plain.Run(ping, deadline).ok();
}

}  // namespace

absl::Status RedisReply::status() const {
  if (!failed.ok() || kind != Kind::kError) return failed;
  const bool moved = absl::StartsWith(text, "MOVED ");
  return TroubleStatus(TroubleOfRedisError(text),
                       absl::StrCat(text, moved ? " (of a Redis Cluster: redis+cluster://)" : ""));
}

void RedisLink::Free::operator()(redisContext* context) const { redisFree(context); }

RedisLink::~RedisLink() { Close(); }

void RedisLink::Close() {
  tls_.reset();
  context_.reset();
}

absl::Status RedisLink::Late() const {
  return TroubleStatus(SharedTrouble::kSlow,
                       absl::StrCat("no answer within ", absl::FormatDuration(deadline_)));
}

absl::Status RedisLink::Adopt(redisContext* context, absl::Duration deadline) {
  const int system = errno;
  Close();
  deadline_ = deadline;
  if (context == nullptr) return TroubleStatus(SharedTrouble::kGone, "out of memory");
  context_.reset(context);
  absl::Status status;
  if (context->err != 0) {
    const bool late = context->err == REDIS_ERR_IO &&
                      (system == EAGAIN || system == ETIMEDOUT || system == EINPROGRESS);
    status = late ? Late() : TroubleStatus(SharedTrouble::kGone, context->errstr);
  } else if (fcntl(context->fd, F_SETFL, fcntl(context->fd, F_GETFL) | O_NONBLOCK) != 0) {
    status = TroubleStatus(SharedTrouble::kGone, std::strerror(errno));
  }
  if (!status.ok()) Close();
  return status;
}

absl::Status RedisLink::ConnectUnix(const std::string& path, absl::Duration deadline) {
  return Adopt(redisConnectUnixWithTimeout(path.c_str(), absl::ToTimeval(deadline)), deadline);
}

absl::Status RedisLink::Connect(const RedisEndpoint& server, const std::optional<RedisTls>& tls,
                                absl::Duration deadline) {
  absl::Status status =
      Adopt(redisConnectWithTimeout(server.host.c_str(), server.port, absl::ToTimeval(deadline)),
            deadline);
  if (status.ok() && tls.has_value()) status = Encrypt(server, *tls, deadline);
  if (!status.ok()) Close();
  return status;
}

absl::Status RedisLink::Encrypt(const RedisEndpoint& server, const RedisTls& tls,
                                absl::Duration deadline) {
  absl::StatusOr<std::unique_ptr<TlsSession>> session =
      TlsSession::Start(context_->fd, tls, server.host);
  if (!session.ok()) return session.status();
  tls_ = *std::move(session);
  deadline_ = deadline + kHandshake;
  absl::Status status = Finish([this] { return tls_->Handshake(); },
                               Steady::now() + absl::ToChronoNanoseconds(deadline_));
  if (TroubleOf(status) != SharedTrouble::kSlow) return status;
  // A Redis without TLS takes the handshake for a command, and waits for the end of its line.
  if (!tls_->heard() && AnswersWithoutTls(server, deadline)) return NoTlsThere();
  return TroubleStatus(SharedTrouble::kSlow, absl::StrCat("no end of the TLS handshake within ",
                                                          absl::FormatDuration(deadline_)));
}

absl::Status RedisLink::Finish(absl::FunctionRef<Step()> step, Until until) {
  while (true) {
    const Step did = step();
    if (did == Step::kDone) return absl::OkStatus();
    if (did == Step::kFailed) return tls_ == nullptr ? failed_ : tls_->status();
    pollfd waiting = {context_->fd, static_cast<short>(did == Step::kWaitRead ? POLLIN : POLLOUT),
                      0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now());
    if (left.count() <= 0) return Late();
    const int ready = poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left.count(), 1 << 30)));
    if (ready < 0 && errno != EINTR) {
      return TroubleStatus(SharedTrouble::kGone, std::strerror(errno));
    }
  }
}

RedisLink::Step RedisLink::AfterCall(ssize_t result, Step wait, size_t* moved) {
  if (result > 0) {
    *moved = static_cast<size_t>(result);
    return Step::kDone;
  }
  if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return wait;
  failed_ = TroubleStatus(SharedTrouble::kGone,
                          result == 0 ? "the server closed the connection" : std::strerror(errno));
  return Step::kFailed;
}

absl::Status RedisLink::Write(absl::string_view bytes, absl::Duration deadline) {
  while (!bytes.empty()) {
    size_t put = 0;
    absl::Status status = Finish(
        [&] {
          if (tls_ != nullptr) return tls_->Write(bytes, &put);
          return AfterCall(send(context_->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                           Step::kWaitWrite, &put);
        },
        Steady::now() + absl::ToChronoNanoseconds(deadline));
    if (!status.ok()) return status;
    bytes.remove_prefix(put);
  }
  return absl::OkStatus();
}

absl::Status RedisLink::Read(Until until) {
  char buffer[16 << 10];
  size_t got = 0;
  absl::Status status = Finish(
      [&] {
        if (tls_ != nullptr) return tls_->Read(buffer, sizeof(buffer), &got);
        return AfterCall(recv(context_->fd, buffer, sizeof(buffer), 0), Step::kWaitRead, &got);
      },
      until);
  if (status.ok() && redisReaderFeed(context_->reader, buffer, got) != REDIS_OK) {
    status = TroubleStatus(SharedTrouble::kGone, context_->reader->errstr);
  }
  return status;
}

absl::StatusOr<std::vector<RedisReply>> RedisLink::Run(absl::Span<const RedisCommand> commands,
                                                       absl::Duration deadline) {
  if (!open()) return TroubleStatus(SharedTrouble::kGone, "there is no connection");
  deadline_ = deadline;
  auto broken = [this](const absl::Status& status) {
    Close();
    return status;
  };
  std::string bytes;
  std::vector<const char*> texts;
  std::vector<size_t> sizes;
  for (const RedisCommand& command : commands) {
    texts.clear();
    sizes.clear();
    for (const std::string& argument : command) {
      texts.push_back(argument.data());
      sizes.push_back(argument.size());
    }
    char* text = nullptr;
    const int size =
        redisFormatCommandArgv(&text, static_cast<int>(texts.size()), texts.data(), sizes.data());
    if (size < 0) return broken(TroubleStatus(SharedTrouble::kGone, "out of memory"));
    bytes.append(text, static_cast<size_t>(size));
    redisFreeCommand(text);
  }
  absl::Status written = Write(bytes, deadline);
  if (!written.ok()) return broken(written);
  std::vector<RedisReply> replies;
  replies.reserve(commands.size());
  while (replies.size() < commands.size()) {
    const Until until = Steady::now() + absl::ToChronoNanoseconds(deadline);
    void* reply = nullptr;
    while (reply == nullptr) {
      if (redisGetReplyFromReader(context_.get(), &reply) != REDIS_OK) {
        // An alert of TLS is no answer of Redis.
        const bool tls_there = absl::StrContains(context_->errstr, "\\x15");
        return broken(tls_there ? TroubleStatus(SharedTrouble::kTls,
                                                "the server speaks TLS on this port; write "
                                                "rediss:// in place of redis://")
                                : TroubleStatus(SharedTrouble::kGone, context_->errstr));
      }
      if (reply != nullptr) break;
      absl::Status read = Read(until);
      if (!read.ok()) return broken(read);
    }
    const std::unique_ptr<redisReply, FreeReply> owned(static_cast<redisReply*>(reply));
    replies.push_back(ToReply(*owned));
  }
  return replies;
}

}  // namespace deferd
