// Where Redis is, as an operator writes it.
//
//   redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]
//   redis+unix://[USER[:PASSWORD]@]/PATH[?db=DB]
//   redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT],HOST[:PORT].../MASTER[/DB]
//   redis+cluster://[USER[:PASSWORD]@]HOST[:PORT],HOST[:PORT]...
//
// With TLS, to the sentinels too: rediss://..., rediss+sentinel://... and rediss+cluster://... USER
// may be left out (":PASSWORD@"), and PASSWORD if it stands in a file; both may hold %XX. IPv6
// addresses stand in []. User and password are for Redis; the sentinels have others, or none. A
// plain value.

#ifndef DEFERD_LIMITER_STORE_REDIS_ADDRESS_H_
#define DEFERD_LIMITER_STORE_REDIS_ADDRESS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd {

struct RedisEndpoint {
  std::string host;
  int port = 0;

  std::string ToString() const;  // HOST:PORT, [HOST]:PORT

  friend bool operator==(const RedisEndpoint&, const RedisEndpoint&) = default;
};

// How a Redis is known, and how it knows this client. Files are PEM, and read at each connection,
// so that renewed ones count without a restart.
struct RedisTls {
  std::string ca_file;      // who may have signed its certificate; empty: the system's authorities
  std::string cert_file;    // this client's certificate, with its chain; empty: none
  std::string key_file;     // its key; empty: in cert_file
  std::string server_name;  // in its certificate; empty: the host that is connected to

  friend bool operator==(const RedisTls&, const RedisTls&) = default;
};

struct RedisAddress {
  std::string user;
  std::string password;
  std::string password_file;  // read at each connection, in place of `password`
  std::optional<RedisTls> tls;
  int db = 0;
  std::string path;                      // of a unix socket, or
  RedisEndpoint server;                  // one server, or
  std::vector<RedisEndpoint> sentinels;  // who know where the master is
  std::string master;                    // as the sentinels name it
  std::string sentinel_user;             // of the sentinels' own
  std::string sentinel_password_file;    // read at each connection; empty: they want no password
  std::vector<RedisEndpoint> cluster;    // some servers of a Redis Cluster, who know the others

  enum class Password { kInText, kInFile };

  // InvalidArgument says what was expected. Never holds the password. kInFile: `text` must not
  // hold one.
  static absl::StatusOr<RedisAddress> Parse(absl::string_view text,
                                            Password password = Password::kInText);

  // For people: without user and password.
  std::string ToString() const;

  friend bool operator==(const RedisAddress&, const RedisAddress&) = default;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_ADDRESS_H_
