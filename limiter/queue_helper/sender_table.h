// The table by which Postfix defers what a blocked sender sends without asking anybody: mail by
// sendmail(1), and what is queued (postconf(5), sender_dependent_default_transport_maps).
//
// A line is "KEY deferd-held:TEXT". KEY is "@DOMAIN", "USER@DOMAIN", or "USER" for the system user
// of that name in all domains that are local to Postfix. deferd-held is a transport of master.cf
// that defers whatever it gets, until Postfix notices that the line is gone (it looks every 10 s).
// Postfix's own "retry:" would do for what is queued, but smtpd(8) then answers 450 to each
// recipient before deferd is asked.
//
// Postfix delivers nothing while a table that main.cf names is missing or broken. So a new table is
// on the disk and was read back before it takes the old one's place, in one step; and one that has
// disappeared is made again. A table outlives a crash of this program: PATH.said tells the next one
// when deferd spoke last. Nothing is kept for ever on the word of somebody who is gone: unless
// deferd repeats it within kTrusted, the table is emptied, and mail flows.
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
#include "limiter/port/command.h"
#include "limiter/port/mutex.h"

namespace deferd {

class SenderTable {
 public:
  static constexpr absl::Duration kTrusted = absl::Minutes(10);
  static constexpr absl::Duration kLimit = absl::Seconds(20);  // of postmap(1)
  static constexpr absl::Duration kAgain = absl::Seconds(30);  // until what failed is tried again

  // `postmap`: the program and its options; `path`: what main.cf names as hash:PATH.
  SenderTable(std::vector<std::string> postmap, std::string path)
      : postmap_(std::move(postmap)), path_(std::move(path)) {}

  // The transport's service in master.cf.
  static constexpr char kTransport[] = "deferd-held";

  const std::string& path() const { return path_; }

  // Keeps the table that is there, and makes an empty one if there is none.
  absl::Status Open(absl::Time now);

  // Keys and why their mail is deferred. InvalidArgument if one is no key or a text is not one line
  // of printable ASCII; otherwise errors are those of the file system and of Commands. After an
  // error the old table stays.
  absl::Status Set(const std::map<std::string, std::string>& senders, absl::Time now);

  // Empties the table if nobody has Set it for kTrusted, and makes it again if it has disappeared.
  absl::Status Tick(absl::Time now);

 private:
  // Of the file that Postfix reads: device, inode, size, time of change.
  using Stamp = std::tuple<uint64_t, uint64_t, int64_t, int64_t>;

  std::optional<Stamp> StampOfTable() const;
  // Whether the table is the one that was written last; of an earlier process's, whether it is
  // there.
  bool IsThere() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(const std::map<std::string, std::string>& senders)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Make(const std::string& fresh, const std::map<std::string, std::string>& senders)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SaidAt(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> postmap_;
  const std::string path_;
  Mutex mutex_;
  Commands commands_ ABSL_GUARDED_BY(mutex_);
  // What is in it; none: an earlier process's, not known.
  std::optional<std::map<std::string, std::string>> senders_ ABSL_GUARDED_BY(mutex_);
  std::optional<Stamp> written_ ABSL_GUARDED_BY(mutex_);
  absl::Time said_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);  // of the last time
  absl::Time failed_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

// "NAME" of a system user as Postfix looks it up, in small letters: letters, digits, ".", "_", "-".
bool IsUserKey(absl::string_view name);

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HELPER_SENDER_TABLE_H_
