// deferd-notify: the command line of the service that runs the operator's command.

#include <pwd.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "limiter/localrpc/admin_session.h"
#include "limiter/notify_helper/notify_helper.h"
#include "limiter/port/listener.h"
#include "limiter/port/log.h"
#include "limiter/port/pid_file.h"
#include "limiter/port/socket_server.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace deferd {
namespace {

constexpr int kUsage = 2;

int Fail(const std::string& message) {
  std::fprintf(stderr, "deferd-notify: %s\n", message.c_str());
  return 1;
}

absl::Status Serve(const std::string& socket, const std::string& group,
                   const NotifyHelper::Options& options, const sigset_t& signals) {
  if (socket.empty() || socket.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("--socket ", socket, ": give the absolute path of a unix socket"));
  }
  absl::StatusOr<Listener> listener =
      Listener::Open(absl::StrCat("unix:", socket), {.mode = 0660, .group = group});
  if (!listener.ok()) return listener.status();
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  if (!server.ok()) return server.status();
  NotifyHelper helper(options);
  const AdminHandler handler = [&](const std::string& verb, const Json& args, const Peer& peer) {
    return helper.Handle(verb, args, peer);
  };
  absl::Status added =
      (*server)->Listen(*std::move(listener), {.idle = absl::Seconds(60), .max_connections = 16},
                        [&](const Peer& peer) -> std::unique_ptr<Session> {
                          if (!helper.IsAllowed(peer)) return nullptr;
                          return std::make_unique<AdminSession>(
                              peer, handler, AdminSession::Options{.one_request = true});
                        });
  if (!added.ok()) return added;
  std::thread thread([&server] { (*server)->Run(); });
  const PidFile pid_file(socket);
  spdlog::info("listening on {}, runs {}", socket, options.command.front());
  sd_notify(0, "READY=1");
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->Stop(absl::Seconds(2));
  thread.join();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app{
      "deferd-notify runs one command for events of deferd, as the user that started it: the event "
      "is one line of JSON on the command's standard input.",
      "deferd-notify"};
  std::string socket = "/run/deferd-notify/notify.sock";
  std::string user = "deferd";
  std::string group;
  NotifyHelper::Options options;
  app.add_option("--socket", socket, "unix socket to listen on")->capture_default_str();
  app.add_option("--user", user, "user that may connect, besides root")->capture_default_str();
  app.add_option("--group", group, "group of the socket, so that this user can open it");
  app.add_option("command", options.command, "absolute path of the command, and its arguments")
      ->required();
  app.positionals_at_end();
  app.set_version_flag("--version", std::string("deferd-notify ") + DEFERD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (options.command.front().front() != '/' ||
      access(options.command.front().c_str(), X_OK) != 0) {
    return Fail(absl::StrCat(options.command.front(),
                             ": give the absolute path of a program that this user may run"));
  }
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return Fail(absl::StrCat("--user ", user, ": no such user"));
  options.uid = entry->pw_uid;
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  auto logger = spdlog::stderr_logger_mt("deferd-notify");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  const absl::Status served = Serve(socket, group, options, signals);
  return served.ok() ? 0 : Fail(std::string(served.message()));
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
