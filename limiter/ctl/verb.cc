#include "limiter/ctl/verb.h"

#include <utility>

namespace deferd {

CLI::App* AddVerb(CLI::App* parent, const std::string& name, const std::string& help, Verb run,
                  Verb* chosen) {
  CLI::App* sub = parent->add_subcommand(name, help);
  sub->fallthrough();
  // The first that is called is the innermost.
  sub->callback([chosen, run = std::move(run)] {
    if (!*chosen) *chosen = run;
  });
  return sub;
}

Verb DaemonVerb(const VerbOptions& options, const std::string& verb, std::function<Json()> request,
                std::string (*page)(const Json&)) {
  return [=, request = std::move(request)]() -> absl::StatusOr<std::string> {
    absl::StatusOr<Json> done = (*options.ask)(verb, request(), kDaemonLimit);
    if (!done.ok()) return done.status();
    return *options.json ? DumpPretty(*done) : page(*done);
  };
}

}  // namespace deferd
