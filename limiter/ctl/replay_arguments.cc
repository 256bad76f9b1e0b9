#include "limiter/ctl/replay_arguments.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "limiter/config/config.h"
#include "limiter/port/host_name.h"
#include "policy/charge.h"

namespace deferd {

absl::StatusOr<ReplayOptions> ReplayOptionsFor(const std::string& format,
                                               const std::vector<std::string>& logs,
                                               const std::string& config) {
  ReplayOptions options;
  options.format = format == "postfix" ? LogFormat::kPostfix
                   : format == "exim"  ? LogFormat::kExim
                                       : LogFormat::kAny;
  options.paths = logs;
  options.lists.host = HostName();
  if (!config.empty()) {
    absl::StatusOr<Config> loaded = LoadConfig(config);
    if (!loaded.ok()) return loaded.status();
    options.lists = loaded->charge;
    options.zone = loaded->zone;
  }
  return options;
}

absl::Status SetZoneAndCharge(const std::string& timezone, const std::string& charge,
                              ReplayOptions* options) {
  if (!timezone.empty() && !absl::LoadTimeZone(timezone, &options->zone)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--timezone '", timezone, "' is not known; use a name such as Europe/Berlin or UTC"));
  }
  if (!charge.empty()) {
    absl::StatusOr<std::vector<ChargeStep>> order = ParseChargeOrder(charge);
    if (!order.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--charge: ", order.status().message()));
    }
    options->lists.order = *std::move(order);
  }
  return absl::OkStatus();
}

}  // namespace deferd
