// What stands before a program's own text in a log that is not the program's own: syslog's header
// "Nov 22 00:15:04 host exim[15472]: " and what daemons, containers and journals make of it.
//
// In front of the stamp there may be a service ("mail_1  | "), a file's name as grep prints it, a
// priority (<22>, <mail.info>), a level; behind it one or two hosts, a facility, a level, RFC
// 5424's columns, a container's stream. A whole header may stand inside another (docker, journald
// and syslog relays do that): then the stamp that says more is taken, and the inner program. A
// header is looked for inside the text of a container or relay alone: what any other program writes
// may be a stranger's words.

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
  absl::string_view host;     // empty if none is printed
  absl::string_view program;  // "postfix/smtp", without the process id; empty if there is none
  absl::string_view pid;      // digits, or empty
  absl::string_view text;     // what is behind it
};

// The prefix of any form; nullopt if there is no stamp. Pure.
std::optional<LogPrefix> ParseLogPrefix(absl::string_view line);

struct SyslogPrefix {
  absl::Time time;
  absl::string_view tag;  // as LogPrefix::program
  absl::string_view pid;
};

// Takes the prefix off the front of `text`; nullopt, and `text` as it was, if there is no stamp or
// its date stays open. The common forms are read without the detour over ParseLogPrefix, with the
// same result.
std::optional<SyslogPrefix> TakeSyslogPrefix(StampReader* stamps, absl::string_view* text);

// What rsyslog writes in place of the same text again: "message repeated 2 times: [ TEXT]". Leaves
// TEXT, and says how often it stands; 1 for any other text. Behind the prefix.
int64_t TakeRepeated(absl::string_view* text);

// A line without a stamp that is none of a program's: an empty one, the rest of an entry of several
// lines (indented), journalctl's remarks ("-- Boot 4f1c --").
bool IsNoEntry(absl::string_view line);

// Whether `program` hands on what other programs write: a container, its runtime, a syslog relay.
// Also one of no name.
bool IsLogRelay(absl::string_view program);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_SYSLOG_PREFIX_H_
