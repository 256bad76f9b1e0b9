// Follows what one mail server writes to systemd's journal, as Follower follows a log file, and
// with the same promise: every line once, in order, or a counted gap; also over restarts.
//
//   rotation               the journal's library goes on in the next file
//   vacuum                 entries that went before they were read are a gap: the oldest that is
//                          left came after the last moment up to which all was read
//   restart                goes on behind the entry of the position's cursor
//   that entry is gone     a gap, and on with the next that is left: nothing is read twice. So it
//                          is too where no mail was logged for longer than the journal keeps
//   first start            from `read_back` ago on; where there is no journal yet, all of it
//   no journal, or it may  said in the status, and tried again each second
//   not be read
//   entry that cannot be   a gap; the next ones are read
//   read
//   journald threw away    a gap, if the unit that it names has the mail server's name
//   what came too fast
//
// Whoever may write to the log socket can call himself "postfix/smtp"; the journal tells whose
// process it was. Entries of other users than `writers` are not read: counted as not ours, and said
// once in the log.
//
// Runs on a thread of its own, woken by the journal, with a look each second besides.

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
  std::string mta;             // in its units' names: "postfix", "exim"
  std::string source;          // its name, as status and positions have it: "journal:postfix"
  std::string directory;       // of journal files; empty: this machine's journal
  std::vector<uid_t> writers;  // an entry without a user (from another host) is read too
  absl::Duration read_back = absl::Hours(1);
  size_t batch_events = 1000;
  std::optional<LogPosition> resume;  // as FollowerOptions
};

// As Follower::Start. The status' `path` is the source.
std::unique_ptr<Follower> StartJournalFollower(const JournalFollowerOptions& options,
                                               std::unique_ptr<LogReader> reader,
                                               const Clock* clock, Follower::Sink sink);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_JOURNAL_FOLLOWER_H_
