// An entry of systemd's journal as the line that rsyslog would write of it to a file, so that files
// and journal are read by the same readers: "2026-11-22T00:15:04.123456Z postfix/smtp[12]: 4dX...".

#ifndef DEFERD_LIMITER_INTAKE_JOURNAL_LINE_H_
#define DEFERD_LIMITER_INTAKE_JOURNAL_LINE_H_

#include <string>

#include "limiter/intake/systemd_journal.h"

namespace deferd {

// Into `*line`. Whatever the entry holds, it is one line, with that stamp and that program:
// control characters are written as rsyslog does ("#012"), tabs left. False, and `*line` is not to
// be used: the identifier is none that a mail program has (without a letter in front, with blanks,
// with "<", or with colons or brackets where it is no instance of Postfix:
// "postfix/[::1]:587/smtpd" is one).
bool JournalLine(const JournalEntry& entry, std::string* line);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_JOURNAL_LINE_H_
