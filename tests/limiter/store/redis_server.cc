#include "tests/limiter/store/redis_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

extern char** environ;

namespace deferd {

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::Start(
    const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);  // as deferd does
  std::unique_ptr<RedisServer> server(new RedisServer());
  // Not TempDir(): a unix socket's path must be short.
  char folder[] = "/tmp/deferd-redis-XXXXXX";
  if (mkdtemp(folder) == nullptr) return absl::UnavailableError("no folder");
  server->folder_ = folder;
  server->arguments_ = arguments;
  absl::Status spawned = server->Spawn();
  if (!spawned.ok()) return spawned;
  return server;
}

namespace {

// A port that nobody has right now; 0 if there is none.
int FreePort() {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(where);
  const bool bound = bind(probe, reinterpret_cast<sockaddr*>(&where), size) == 0 &&
                     getsockname(probe, reinterpret_cast<sockaddr*>(&where), &size) == 0;
  close(probe);
  return bound ? ntohs(where.sin_port) : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::StartOnPort(
    Port port, const std::vector<std::string>& arguments) {
  return StartOnPorts(port, false, arguments);
}

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::StartForCluster(
    Port port, const std::vector<std::string>& arguments) {
  return StartOnPorts(port, true, arguments);
}

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::StartOnPorts(
    Port port, bool of_cluster, const std::vector<std::string>& arguments) {
  absl::StatusOr<std::unique_ptr<RedisServer>> server = absl::UnavailableError("no free port");
  // Another test may take the port in between.
  for (int attempt = 0; attempt < 5 && !server.ok(); ++attempt) {
    const int number = FreePort();
    std::vector<std::string> all = {port == Port::kTls ? "--tls-port" : "--port",
                                    absl::StrCat(number), "--bind", "127.0.0.1"};
    const int bus = of_cluster ? FreePort() : 0;
    if (of_cluster) {
      all.insert(all.end(), {"--cluster-enabled", "yes", "--cluster-port", absl::StrCat(bus)});
    }
    all.insert(all.end(), arguments.begin(), arguments.end());
    server = Start(all);
    if (!server.ok()) continue;
    (*server)->port_ = number;
    (*server)->bus_port_ = bus;
  }
  return server;
}

void RedisServer::SetAdmin(const std::string& user, const std::string& password) {
  admin_.user = user;
  admin_.password = password;
}

RedisServer::~RedisServer() {
  Kill();
  if (said_fd_ >= 0) close(said_fd_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

RedisAddress RedisServer::address() const {
  RedisAddress address;
  address.path = folder_ + "/redis.sock";
  return address;
}

absl::Status RedisServer::Spawn() {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) return absl::UnavailableError("no pipe");
  std::vector<std::string> command = {"redis-server",
                                      "--port",
                                      "0",
                                      "--unixsocket",
                                      folder_ + "/redis.sock",
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "no",
                                      "--dir",
                                      folder_,
                                      "--daemonize",
                                      "no",
                                      "--loglevel",
                                      "notice",
                                      "--logfile",
                                      ""};
  command.insert(command.end(), arguments_.begin(), arguments_.end());
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  const int spawned = posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  std::string said;
  if (spawned != 0) {
    pid_ = -1;
    close(out[0]);
    return absl::NotFoundError(absl::StrCat("redis-server: ", std::strerror(spawned)));
  }
  bool ready = false;
  while (!ready) {
    pollfd waiting = {out[0], POLLIN, 0};
    char buffer[4096];
    if (poll(&waiting, 1, 30'000) <= 0) break;
    const ssize_t n = read(out[0], buffer, sizeof(buffer));
    if (n <= 0) break;
    said.append(buffer, static_cast<size_t>(n));
    ready = said.find("accept connections") != std::string::npos;
  }
  // It goes on writing; what a test makes it say fits the pipe.
  if (ready) {
    fcntl(out[0], F_SETPIPE_SZ, 1 << 20);
    if (said_fd_ >= 0) close(said_fd_);
    said_fd_ = out[0];
    return absl::OkStatus();
  }
  close(out[0]);
  Kill();
  return absl::UnavailableError(absl::StrCat("redis-server did not start: ", said));
}

RedisReply RedisServer::Cli(const RedisCommand& command) {
  RedisConnection connection;
  RedisAddress where = address();
  where.user = admin_.user;
  where.password = admin_.password;
  where.cluster.emplace_back();  // so that its role is not asked for
  absl::Status opened = connection.Open(where, absl::Seconds(30));
  RedisReply failed;
  failed.kind = RedisReply::Kind::kError;
  failed.text = std::string(opened.message());
  if (!opened.ok()) return failed;
  const std::vector<RedisCommand> commands = {command};
  absl::StatusOr<std::vector<RedisReply>> replies = connection.Run(commands);
  if (replies.ok()) return replies->front();
  failed.text = std::string(replies.status().message());
  return failed;
}

void RedisServer::Signal(int signal) {
  if (pid_ > 0) kill(pid_, signal);
}

void RedisServer::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status RedisServer::Restart() {
  Kill();
  return Spawn();
}

}  // namespace deferd
