// Month names, full or abbreviated, as syslog daemons and journalctl print them in a server's
// locale.

#ifndef DEFERD_LIMITER_INTAKE_MONTH_NAMES_H_
#define DEFERD_LIMITER_INTAKE_MONTH_NAMES_H_

#include "absl/strings/string_view.h"

namespace deferd {

// 1..12; 0 if `word` (UTF-8, optionally followed by a dot) is not a month name in the known
// languages, or names different months in two of them ("lip" is July in Polish and June in
// Croatian).
int MonthNumber(absl::string_view word);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_MONTH_NAMES_H_
