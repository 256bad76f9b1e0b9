// deferd: the daemon's command line.

#include <signal.h>
#include <sysexits.h>

#include <cstdio>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "limiter/app/daemon.h"
#include "limiter/config/config.h"
#include "limiter/config/config_check.h"
#include "limiter/port/log.h"
#include "policy/refusal_text.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace deferd {
namespace {

constexpr int kUsage = 2;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "deferd: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app{
      "deferd counts deferred and failed deliveries per sending domain and answers the MTA's "
      "questions: accept, hold, reject or discard.",
      "deferd"};
  std::string config_path = "/etc/deferd/deferd.toml";
  bool check = false;
  bool set_aside = false;
  app.add_option("--config", config_path, "the configuration file")->capture_default_str();
  app.add_flag(
      "--check", check,
      "read configuration and policy, check the groups, directories and logs that they name, "
      "report every error, and exit");
  app.add_flag("--set-aside-damaged-state", set_aside,
               "if state.db is damaged, rename it and read the counts from the logs again");
  app.set_version_flag("--version", std::string("deferd ") + kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }

  absl::StatusOr<Config> config = LoadConfig(config_path);
  if (!config.ok()) return Fail(config.status());
  if (check) {
    absl::StatusOr<LoadedPolicy> policy = LoadPolicy(config->policy_path);
    if (!policy.ok()) return Fail(policy.status());
    MachineFindings machine = CheckMachine(*config);
    machine.warnings.insert(machine.warnings.begin(), config->warnings.begin(),
                            config->warnings.end());
    for (const std::string& warning :
         {NoOwnerRelease(*config, *policy->policy), RefusalTextWarning(policy->policy->text)}) {
      if (!warning.empty()) machine.warnings.push_back(warning);
    }
    for (const std::string& warning : machine.warnings) {
      std::fprintf(stderr, "%s: warning: %s\n", config_path.c_str(), warning.c_str());
    }
    for (const std::string& error : machine.errors) {
      std::fprintf(stderr, "deferd: %s: %s\n", config_path.c_str(), error.c_str());
    }
    if (!machine.errors.empty()) return 1;
    std::printf("%s: ok; policy %s (%s)\n", config_path.c_str(), policy->policy->path.c_str(),
                policy->policy->hash.c_str());
    return 0;
  }

  // Before any thread is created, so that only Run receives the signals.
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file size limit is handled like a full disk

  auto logger = spdlog::stderr_logger_mt("deferd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));

  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start(*std::move(config), set_aside);
  if (!daemon.ok()) {
    spdlog::error("{}", daemon.status());
    return 1;
  }
  (*daemon)->Run();
  return 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
