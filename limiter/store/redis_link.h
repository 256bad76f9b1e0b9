// Commands to one Redis server and their answers, encrypted or not, over hiredis and OpenSSL.
//
// Commands are lists of arguments, answers are values. Run blocks for at most the deadline for
// each answer; the link ends with the first answer that is late or broken, since the later ones
// would be those of other commands. Every status carries its trouble (shared_trouble.h). hiredis
// makes the connection and reads the protocol; the bytes are moved here, since Debian's hiredis
// knows no TLS. Confined to one thread.

#ifndef DEFERD_LIMITER_STORE_REDIS_LINK_H_
#define DEFERD_LIMITER_STORE_REDIS_LINK_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_tls.h"

struct redisContext;

namespace deferd {

// What Redis answers.
struct RedisReply {
  enum class Kind { kNil, kInteger, kText, kError, kList };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // of kText, and of kError
  std::vector<RedisReply> list;
  absl::Status
      failed;  // of one of several servers: its name, and why it gave no answer or an error

  // `failed`, or the status of an error; ok of everything else.
  absl::Status status() const;
};

using RedisCommand = std::vector<std::string>;

class RedisLink {
 public:
  // How much longer than the deadline the handshake of TLS may take in all.
  static constexpr absl::Duration kHandshake = absl::Milliseconds(750);

  RedisLink() = default;
  RedisLink(const RedisLink&) = delete;
  RedisLink& operator=(const RedisLink&) = delete;
  ~RedisLink();

  absl::Status ConnectUnix(const std::string& path, absl::Duration deadline);
  // `tls`: nullopt, not encrypted.
  absl::Status Connect(const RedisEndpoint& server, const std::optional<RedisTls>& tls,
                       absl::Duration deadline);
  void Close();
  bool open() const { return context_ != nullptr; }

  // Sends all, then reads the answers, one each, errors among them.
  absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                              absl::Duration deadline);

 private:
  struct Free {
    void operator()(redisContext* context) const;
  };
  using Step = TlsSession::Step;
  using Until = std::chrono::steady_clock::time_point;

  absl::Status Adopt(redisContext* context, absl::Duration deadline);
  absl::Status Encrypt(const RedisEndpoint& server, const RedisTls& tls, absl::Duration deadline);
  absl::Status Write(absl::string_view bytes, absl::Duration deadline);
  absl::Status Read(Until until);
  // Repeats `step` until it is done; waits for the socket in between. kSlow after `until`.
  absl::Status Finish(absl::FunctionRef<Step()> step, Until until);
  Step AfterCall(ssize_t result, Step wait, size_t* moved);
  absl::Status Late() const;

  std::unique_ptr<redisContext, Free> context_;
  std::unique_ptr<TlsSession> tls_;  // ends before the context
  absl::Status failed_;              // of a step without TLS
  absl::Duration deadline_;          // of what runs, for texts
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_LINK_H_
