// What mail servers wrote to systemd's journal, entry by entry; sd_journal_open(3) and its
// neighbours without their traps.
//
// Only entries of facility mail are seen (SYSLOG_FACILITY=2, with which Exim and Postfix log by
// default), and journald's own about entries that it threw away: the journal has an index for that,
// so that a busy host's other entries cost nothing.
// Without a directory it is the journal of this machine's services: neither what other hosts sent,
// nor the journals of single users.
//
// Position: an entry, by its cursor. Seek..., then Next for each entry behind that place. Errors
// are Unavailable (try again with a new one) unless said otherwise. Not thread-safe.

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
  // When it was sent (_SOURCE_REALTIME_TIMESTAMP), or else when journald got it;
  // systemd.journal-fields(7).
  absl::Time time;
  std::string identifier;    // SYSLOG_IDENTIFIER: "postfix/smtp", "exim"
  std::string pid;           // SYSLOG_PID or else _PID; empty if there is neither
  std::string message;       // MESSAGE: any bytes
  bool too_long = false;     // the message is longer than any line of a log may be, and is cut
  std::optional<uid_t> uid;  // whose process sent it, as the kernel says (_UID)
  // It is journald's word that it threw away what came too fast (RateLimitBurst= in
  // journald.conf(5)): "Suppressed 7 messages from postfix@-.service".
  bool suppressed = false;
};

class SystemdJournal {
 public:
  // An empty directory is this machine's journal. NotFound: there is no journal; PermissionDenied:
  // there is one, and we may not read it. The texts say what to do.
  static absl::StatusOr<std::unique_ptr<SystemdJournal>> Open(const std::string& directory);
  SystemdJournal(const SystemdJournal&) = delete;
  SystemdJournal& operator=(const SystemdJournal&) = delete;

  // As Open, without opening: whether there is a journal that may be read.
  static absl::Status Check(const std::string& directory);

  absl::Status SeekHead();
  // Before the first entry that is not older; stands on the one in front of it if there is one.
  absl::Status SeekTime(absl::Time time);
  // Onto the entry that has the cursor: true. Else before the next one that is left, on the one in
  // front of that if there is one: false. InvalidArgument: it is no cursor.
  absl::StatusOr<bool> SeekCursor(const std::string& cursor);

  // Goes to the next entry; false: there is none yet.
  absl::StatusOr<bool> Next();

  // The entry it stands on. DataLoss: it cannot be read, others may.
  absl::Status Read(JournalEntry* entry);
  // Empty if it stands on none.
  std::string Cursor();
  // When journald got the entry it stands on; InfinitePast if it stands on none.
  absl::Time Received();

  // Of all entries that are left, of any program; nullopt: there is none.
  std::optional<absl::Time> Oldest();

  // Readable when something has changed; then Process says whether files came or went.
  int fd() const { return fd_; }
  absl::StatusOr<bool> Process();

 private:
  struct Closer {
    void operator()(sd_journal* journal) const { sd_journal_close(journal); }
  };

  explicit SystemdJournal(sd_journal* journal) : journal_(journal) {}

  // The value of a field; nullopt if the entry has none. Valid until the next call.
  absl::StatusOr<std::optional<absl::string_view>> Field(const char* name);
  // After a seek: onto the entry in front of that place.
  absl::Status StepBack();

  std::unique_ptr<sd_journal, Closer> journal_;
  int fd_ = -1;
  bool on_entry_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_SYSTEMD_JOURNAL_H_
