// What syslog writes before a program's text: "Nov 22 00:15:04 host exim[15472]: ", with a stamp of
// either kind (stamp.h) and perhaps "<22>" in front.

#ifndef DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_
#define DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/stamp.h"

namespace deferd {

struct SyslogPrefix {
  absl::Time time;
  absl::string_view tag;  // "exim", without the process id; empty if there is none
};

// Takes the prefix off the front of `text`; nullopt, and `text` as it was, if there is no stamp.
std::optional<SyslogPrefix> TakeSyslogPrefix(StampReader* stamps, absl::string_view* text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_
