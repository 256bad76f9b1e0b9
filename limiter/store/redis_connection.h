// One connection to a Redis, over hiredis.
//
// Commands are lists of arguments, answers are values. Calls block for at most the deadline (by
// answer); the connection is closed with the first that is late or broken, since its further
// answers would be those of other commands. Statuses carry their trouble. The process must ignore
// SIGPIPE. Confined to one thread.

#ifndef DEFERD_LIMITER_STORE_REDIS_CONNECTION_H_
#define DEFERD_LIMITER_STORE_REDIS_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/store/redis_address.h"

struct redisContext;

namespace deferd {

// What Redis answers.
struct RedisReply {
  enum class Kind { kNil, kInteger, kText, kError, kList };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // of kText, and of kError
  std::vector<RedisReply> list;

  // The status of an error; ok of everything else.
  absl::Status status() const;
};

using RedisCommand = std::vector<std::string>;

class RedisConnection {
 public:
  RedisConnection() = default;
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  ~RedisConnection();

  // Connects, logs in, selects the database, and makes sure that it is a master that answers.
  // Through sentinels: to the one that the first of them that answers names.
  absl::Status Open(const RedisAddress& address, absl::Duration deadline);
  void Close();
  bool open() const { return context_ != nullptr; }

  // Where it is connected to.
  const RedisEndpoint& server() const { return server_; }

  // Sends all, then reads the answers, one each, errors among them. `wait`: how much longer than
  // the deadline an answer may take.
  absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                              absl::Duration wait = absl::ZeroDuration());
  // One; an error that Redis answers is a status too.
  absl::StatusOr<RedisReply> Run(const RedisCommand& command,
                                 absl::Duration wait = absl::ZeroDuration());

 private:
  struct Free {
    void operator()(redisContext* context) const;
  };

  absl::Status OpenTo(const RedisAddress& address, const RedisEndpoint& server);
  absl::Status LogIn(const RedisAddress& address);
  absl::Status Adopt(redisContext* context);
  absl::Status Broken();

  std::unique_ptr<redisContext, Free> context_;
  absl::Duration deadline_;
  absl::Duration set_deadline_;  // that of the socket now
  RedisEndpoint server_;
};

// The address of the master, by the first sentinel that answers. kNoMaster.
absl::StatusOr<RedisEndpoint> AskSentinels(const RedisAddress& address, absl::Duration deadline);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_CONNECTION_H_
