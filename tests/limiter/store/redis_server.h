// A redis-server of a test's own: on a unix socket (and, if asked for, a free port) in a folder of
// its own, without a file on the disk. Ends with the object.

#ifndef DEFERD_TESTS_LIMITER_STORE_REDIS_SERVER_H_
#define DEFERD_TESTS_LIMITER_STORE_REDIS_SERVER_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_connection.h"

namespace deferd {

class RedisServer {
 public:
  // Waits until it answers. An error if there is no redis-server, or if it does not start.
  static absl::StatusOr<std::unique_ptr<RedisServer>> Start(
      const std::vector<std::string>& arguments = {});
  // Also on a free port of 127.0.0.1; with TLS, which these files of Redis' settings describe.
  enum class Port { kPlain, kTls };
  static absl::StatusOr<std::unique_ptr<RedisServer>> StartOnPort(
      Port port, const std::vector<std::string>& arguments = {});
  // The same, as one that can be a part of a cluster.
  static absl::StatusOr<std::unique_ptr<RedisServer>> StartForCluster(
      Port port, const std::vector<std::string>& arguments = {});
  ~RedisServer();

  RedisAddress address() const;
  RedisEndpoint endpoint() const { return {"127.0.0.1", port_}; }  // of the last two
  int bus_port() const { return bus_port_; }                       // of StartForCluster
  // Whom Cli logs in as, where the server has users.
  void SetAdmin(const std::string& user, const std::string& password);
  pid_t pid() const { return pid_; }

  // As redis-cli does, whatever the server's role is; the answer, an error too. Waits for as long
  // as it takes.
  RedisReply Cli(const RedisCommand& command);

  void Signal(int signal);  // SIGSTOP, SIGCONT
  void Kill();              // -9, and waits for its end
  // Anew, empty, on the same socket.
  absl::Status Restart();

 private:
  RedisServer() = default;
  static absl::StatusOr<std::unique_ptr<RedisServer>> StartOnPorts(
      Port port, bool of_cluster, const std::vector<std::string>& arguments);
  absl::Status Spawn();

  std::string folder_;
  int port_ = 0;
  int bus_port_ = 0;
  RedisAddress admin_;  // its user and password
  std::vector<std::string> arguments_;
  pid_t pid_ = -1;
  int said_fd_ = -1;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_REDIS_SERVER_H_
