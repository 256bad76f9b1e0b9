#include "limiter/admin/track_args.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/duration.h"
#include "policy/text.h"

namespace deferd {

absl::StatusOr<std::string> TextArg(const Json& args, const char* name) {
  auto it = args.find(name);
  if (it == args.end() || it->is_null()) return std::string();
  if (!it->is_string())
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a string"));
  return it->get<std::string>();
}

absl::StatusOr<int64_t> WholeArg(const Json& args, const char* name, int64_t otherwise) {
  auto it = args.find(name);
  if (it == args.end() || it->is_null()) return otherwise;
  if (!it->is_number_integer() || it->get<int64_t>() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a whole number from 0 up"));
  }
  return it->get<int64_t>();
}

absl::StatusOr<Confines> Confines::FromArgs(const Json& args) {
  Confines confines;
  const auto list = args.find("domains");
  if (list == args.end() || list->is_null()) return confines;
  if (!list->is_array()) return absl::InvalidArgumentError("domains: expected a list");
  confines.domains_.emplace();
  for (const Json& one : *list) {
    if (!one.is_string()) return absl::InvalidArgumentError("domains: expected a list of texts");
    confines.domains_->insert(one.get<std::string>());
  }
  return confines;
}

absl::StatusOr<absl::Time> ParseWhen(absl::string_view text, absl::Time now) {
  absl::StatusOr<absl::Duration> ago = ParseDuration(absl::StripSuffix(text, " ago"));
  if (ago.ok()) return now - *ago;
  absl::Time time;
  std::string error;
  for (const char* format : {absl::RFC3339_full, "%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M",
                             "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) return time;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not a valid time (examples: 2h, 7d, 2026-11-22 10:00)"));
}

absl::StatusOr<TimeSpan> TimeArgs(const Json& args, absl::Time now) {
  TimeSpan span;
  for (const auto& [name, to] :
       {std::pair("since", &span.since), std::pair("until", &span.until)}) {
    absl::StatusOr<std::string> text = TextArg(args, name);
    if (!text.ok()) return text.status();
    if (text->empty()) continue;
    absl::StatusOr<absl::Time> time = ParseWhen(*text, now);
    if (!time.ok()) return time.status();
    *to = *time;
  }
  return span;
}

}  // namespace deferd
