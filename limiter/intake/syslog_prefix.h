// Parses the prefix that other programs put in front of a program's text: syslog's header "Nov 22
// 00:15:04 host exim[15472]: " and the variants of daemons, containers and journals.
//
// Before the stamp there may be a service ("mail_1  | "), a file name as grep prints it, a priority
// (<22>, <mail.info>) or a level; after it one or two hosts, a facility, a level, RFC 5424's
// columns or a container's stream. A header may contain another complete header (docker, journald
// and syslog relays do that); the more precise stamp and the inner program are taken then. Only the
// text of a container or relay is searched for an inner header, because other programs' text may
// come from strangers.

#ifndef DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_
#define DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/stamp.h"
#include "limiter/intake/stamp_text.h"

namespace deferd {

// All views point into the line.
struct LogPrefix {
  StampText stamp;
  absl::string_view host;     // empty if not printed
  absl::string_view program;  // "postfix/smtp", without the process id; may be empty
  absl::string_view pid;      // digits, or empty
  absl::string_view text;     // the text after the prefix
};

// Parses a prefix of any form; nullopt if there is no stamp. Pure.
std::optional<LogPrefix> ParseLogPrefix(absl::string_view line);

struct SyslogPrefix {
  absl::Time time;
  absl::string_view tag;  // as LogPrefix::program
  absl::string_view pid;
};

// Takes the prefix from the front of `text`. Returns nullopt, and leaves `text` unchanged, if there
// is no stamp or its date is incomplete. Common forms take a fast path with the same result as
// ParseLogPrefix.
std::optional<SyslogPrefix> TakeSyslogPrefix(StampReader* stamps, absl::string_view* text);

// rsyslog's replacement for repeated lines: "message repeated 2 times: [ TEXT]". Leaves TEXT and
// returns the number of repetitions; 1 for any other text. Call after the prefix was taken.
int64_t TakeRepeated(absl::string_view* text);

// A line without a stamp that belongs to no program: empty, a continuation line (indented), a
// remark of journalctl ("-- Boot 4f1c --").
bool IsNoEntry(absl::string_view line);

// Whether `program` passes on output of other programs: a container, its runtime, a syslog relay.
// True also without a name.
bool IsLogRelay(absl::string_view program);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_
