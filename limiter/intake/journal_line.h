// Converts an entry of systemd's journal to the line that rsyslog would write to a file, so that
// the same readers read files and journal: "2026-11-22T00:15:04.123456Z postfix/smtp[12]: 4dX...".

#ifndef DEFERD_LIMITER_INTAKE_JOURNAL_LINE_H_
#define DEFERD_LIMITER_INTAKE_JOURNAL_LINE_H_

#include <string>

#include "limiter/intake/systemd_journal.h"

namespace deferd {

// Writes to `*line`. The result is always one line with that stamp and program: control characters
// are escaped like rsyslog does ("#012"), tabs stay. Returns false, and `*line` must not be used,
// if the identifier is not the name of a mail program: it does not begin with a letter, has blanks
// or "<", has colons or brackets without being an instance of Postfix such as
// "postfix/[::1]:587/smtpd", or would be read as something else, as the level "error" would.
bool JournalLine(const JournalEntry& entry, std::string* line);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_JOURNAL_LINE_H_
