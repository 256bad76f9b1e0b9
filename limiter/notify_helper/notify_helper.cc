#include "limiter/notify_helper/notify_helper.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"

namespace deferd {

absl::StatusOr<Json> NotifyHelper::Handle(const std::string& verb, const Json& args, const Peer&) {
  if (verb != "run") return absl::InvalidArgumentError("the only verb is run");
  const Json& event = At(args, "event");
  if (!event.is_object()) return absl::InvalidArgumentError("event: expected an object");
  const absl::Duration limit =
      std::clamp(absl::Milliseconds(Number(args, "timeout_ms")), absl::Milliseconds(100), kLongest);
  const std::string id = Field(event, "id");
  absl::StatusOr<std::string> ran =
      commands_.Run(options_.command, absl::StrCat(Dump(event), "\n"), limit);
  if (!ran.ok()) {
    spdlog::warn("{}: {}", id, ran.status().message());
    return ran.status();
  }
  spdlog::info("{}: {} ran", id, options_.command.front());
  return Json::object();
}

}  // namespace deferd
