// Where Redis is, as an operator writes it.
//
//   redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]
//   redis+unix://[USER[:PASSWORD]@]/PATH[?db=DB]
//   redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT],HOST[:PORT].../MASTER[/DB]
//
// USER may be left out (":PASSWORD@"); both may hold %XX. IPv6 addresses stand in []. User and
// password are for Redis, not for the sentinels. A plain value.

#ifndef DEFERD_LIMITER_STORE_REDIS_ADDRESS_H_
#define DEFERD_LIMITER_STORE_REDIS_ADDRESS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd {

struct RedisEndpoint {
  std::string host;
  int port = 0;

  friend bool operator==(const RedisEndpoint&, const RedisEndpoint&) = default;
};

struct RedisAddress {
  std::string user;
  std::string password;
  int db = 0;
  std::string path;                      // of a unix socket, or
  RedisEndpoint server;                  // one server, or
  std::vector<RedisEndpoint> sentinels;  // who know where the master is
  std::string master;                    // as the sentinels name it

  // InvalidArgument says what was expected. Never holds the password.
  static absl::StatusOr<RedisAddress> Parse(absl::string_view text);

  // For people: without user and password.
  std::string ToString() const;

  friend bool operator==(const RedisAddress&, const RedisAddress&) = default;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_ADDRESS_H_
