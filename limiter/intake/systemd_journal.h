// Reads a mail server's entries from systemd's journal; wraps sd_journal_open(3) and related
// functions.
//
// Only entries of facility mail (SYSLOG_FACILITY=2, the default of Exim and Postfix) and journald's
// own entries about rate limiting are read. The journal has an index for the facility, so other
// entries of a busy host cost nothing. Without a directory, the journal of this machine's services
// is read: no entries of other hosts, no journals of single users.
//
// A position is an entry, identified by its cursor. Call Seek..., then Next for each entry after
// that place. Errors are Unavailable (try again with a new object) unless noted otherwise. Not
// thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_SYSTEMD_JOURNAL_H_
#define DEFERD_LIMITER_INTAKE_SYSTEMD_JOURNAL_H_

#include <sys/types.h>
#include <systemd/sd-journal.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace deferd {

struct JournalEntry {
  // The time of sending (_SOURCE_REALTIME_TIMESTAMP), otherwise of reception by journald;
  // systemd.journal-fields(7).
  absl::Time time;
  std::string identifier;    // SYSLOG_IDENTIFIER: "postfix/smtp", "exim"
  std::string pid;           // SYSLOG_PID, else _PID; may be empty
  std::string message;       // MESSAGE: any bytes
  bool too_long = false;     // the message exceeds the maximum line length and is cut
  std::optional<uid_t> uid;  // user of the sending process, as recorded by the kernel (_UID)
  // journald reports that it dropped entries (RateLimitBurst= in
  // journald.conf(5)): "Suppressed 7 messages from postfix@-.service".
  bool suppressed = false;
};

class SystemdJournal {
 public:
  // Empty directory: this machine's journal. NotFound: no journal exists; PermissionDenied: it
  // exists but cannot be read. The texts say what to do.
  static absl::StatusOr<std::unique_ptr<SystemdJournal>> Open(const std::string& directory);
  SystemdJournal(const SystemdJournal&) = delete;
  SystemdJournal& operator=(const SystemdJournal&) = delete;

  // Like Open, but only checks whether a readable journal exists.
  static absl::Status Check(const std::string& directory);

  absl::Status SeekHead();
  // Goes before the first entry that is not older, onto the entry in front of it if there is one.
  absl::Status SeekTime(absl::Time time);
  // Goes onto the entry with the cursor and returns true. If that entry no longer exists, goes
  // before the next remaining one and returns false. InvalidArgument: not a cursor.
  absl::StatusOr<bool> SeekCursor(const std::string& cursor);

  // Goes to the next entry; false: there is none yet.
  absl::StatusOr<bool> Next();

  // The current entry. DataLoss: it cannot be read, others may.
  absl::Status Read(JournalEntry* entry);
  // Empty if there is no current entry.
  std::string Cursor();
  // When journald received the current entry; InfinitePast if there is none.
  absl::Time Received();

  // The oldest remaining entry of any program; nullopt: the journal is empty.
  std::optional<absl::Time> Oldest();

  // Readable when something has changed; call Process then to learn whether files came or went.
  int fd() const { return fd_; }
  absl::StatusOr<bool> Process();

 private:
  struct Closer {
    void operator()(sd_journal* journal) const { sd_journal_close(journal); }
  };

  explicit SystemdJournal(sd_journal* journal) : journal_(journal) {}

  // The value of a field; nullopt if the entry has none. Valid until the next call.
  absl::StatusOr<std::optional<absl::string_view>> Field(const char* name);
  // After a seek: moves onto the entry in front of that place.
  absl::Status StepBack();

  std::unique_ptr<sd_journal, Closer> journal_;
  int fd_ = -1;
  bool on_entry_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_SYSTEMD_JOURNAL_H_
