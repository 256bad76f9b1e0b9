// Follows one mail server's entries in systemd's journal, as Follower follows a log file, with the
// same guarantee: every line once, in order, or a counted gap; also across restarts.
//
//   rotation               libsystemd continues in the next file
//   vacuum                 entries removed before they were read are a gap: the oldest remaining
//                          entry is newer than the last time up to which everything was read
//   restart                continues after the entry of the stored cursor
//   that entry is gone     a gap; continues with the next remaining entry and reads nothing
//                          twice. This also happens if no mail was logged for longer than the
//                          journal's retention
//   first start            begins `read_back` ago; if the journal does not exist yet, with its
//                          first entry
//   journal missing or     reported in the status, and retried every second
//   not readable
//   entry not readable     a gap; continues with the next entries
//   rate limiting by       a gap, if the named unit has the mail server's name
//   journald
//
// Any process that may write to the log socket can call itself "postfix/smtp"; the journal records
// the process's user. Entries of users other than `writers` are ignored, counted as not ours and
// logged once.
//
// Runs on its own thread, woken by the journal; also looks every second.

#ifndef DEFERD_LIMITER_INTAKE_JOURNAL_FOLLOWER_H_
#define DEFERD_LIMITER_INTAKE_JOURNAL_FOLLOWER_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/intake/follower.h"
#include "limiter/intake/log_reader.h"
#include "limiter/port/clock.h"
#include "policy/log_position.h"

namespace deferd {

struct JournalFollowerOptions {
  std::string mta;             // part of its units' names: "postfix", "exim"
  std::string source;          // name in status and positions: "journal:postfix"
  std::string directory;       // of journal files; empty: this machine's journal
  std::vector<uid_t> writers;  // entries without a user (from another host) are read too
  absl::Duration read_back = absl::Hours(1);
  size_t batch_events = 1000;
  std::optional<LogPosition> resume;  // as in FollowerOptions
};

// As Follower::Start. `path` in the status is the source.
std::unique_ptr<Follower> StartJournalFollower(const JournalFollowerOptions& options,
                                               std::unique_ptr<LogReader> reader,
                                               const Clock* clock, Follower::Sink sink);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_JOURNAL_FOLLOWER_H_
