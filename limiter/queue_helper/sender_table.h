// The lookup table with which Postfix defers mail of blocked senders about which it sends no policy
// request: mail submitted with sendmail(1), and mail already queued (postconf(5),
// sender_dependent_default_transport_maps).
//
// A line is "KEY deferd-held:TEXT". KEY is "@DOMAIN", "USER@DOMAIN", or "USER" for the system user
// of that name in all domains that are local to Postfix. deferd-held is a transport in master.cf
// that defers every message, until Postfix notices that the line was removed (it checks every 10
// s). Postfix's own "retry:" would work for queued mail, but then smtpd(8) answers 450 to each
// recipient before it queries deferd.
//
// Postfix delivers nothing while a table named in main.cf is missing or damaged. A new table is
// therefore synced to disk and read back before it replaces the old one in one step, and a table
// that has disappeared is created again. A table survives a crash of this program: the modification
// time of PATH.said tells the next process when deferd last sent the table. If deferd does not
// refresh the table within kTrusted, the table is emptied and mail flows.
//
// The directory must be one that nobody but root (or the user that runs this) can write to; links
// in it are replaced, never followed.
//
// Safe from any thread.

#ifndef DEFERD_LIMITER_QUEUE_HELPER_SENDER_TABLE_H_
#define DEFERD_LIMITER_QUEUE_HELPER_SENDER_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/port/clock.h"
#include "limiter/port/command.h"
#include "limiter/port/mutex.h"

namespace deferd {

class SenderTable {
 public:
  static constexpr absl::Duration kTrusted = absl::Minutes(10);
  static constexpr absl::Duration kLimit = absl::Seconds(20);  // for postmap(1)
  static constexpr absl::Duration kAgain =
      absl::Seconds(30);  // before a failed write is tried again

  // `postmap`: the program and its options; `path`: named in main.cf as hash:PATH. `clock` must
  // outlive the table.
  SenderTable(std::vector<std::string> postmap, std::string path, const Clock* clock)
      : postmap_(std::move(postmap)), path_(std::move(path)), clock_(clock) {}

  // The service name of the transport in master.cf.
  static constexpr char kTransport[] = "deferd-held";

  const std::string& path() const { return path_; }

  // Keeps an existing table; creates an empty one if there is none.
  absl::Status Open();

  // Maps each key to the reason why its mail is deferred. InvalidArgument if a key is malformed or
  // a text is not one line of printable ASCII; other errors come from the file system or Commands.
  // After an error the old table stays.
  absl::Status Set(const std::map<std::string, std::string>& senders);

  // Empties the table if Set was not called for kTrusted; recreates it if it has disappeared.
  absl::Status Tick();

 private:
  // Identifies the file that Postfix reads: device, inode, size, modification time.
  using Stamp = std::tuple<uint64_t, uint64_t, int64_t, int64_t>;

  std::optional<Stamp> StampOfTable() const;
  // Whether the table is the one that this process wrote last, or, after a start, whether a table
  // exists.
  bool IsThere() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(const std::map<std::string, std::string>& senders)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Make(const std::string& fresh, const std::map<std::string, std::string>& senders)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetRefreshed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> postmap_;
  const std::string path_;
  const Clock* const clock_;
  Mutex mutex_;
  Commands commands_ ABSL_GUARDED_BY(mutex_);
  // Contents of the table; nullopt: written by an earlier process, not known.
  std::optional<std::map<std::string, std::string>> senders_ ABSL_GUARDED_BY(mutex_);
  std::optional<Stamp> written_ ABSL_GUARDED_BY(mutex_);
  absl::Duration refreshed_ ABSL_GUARDED_BY(mutex_) =
      -absl::InfiniteDuration();                 // Clock::Elapsed()
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);  // of the last write
  absl::Duration failed_at_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

// Whether `name` is a system user in the form that Postfix looks up: lower case letters, digits,
// ".", "_", "-".
bool IsUserKey(absl::string_view name);

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HELPER_SENDER_TABLE_H_
