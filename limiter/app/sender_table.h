// The table by which Postfix puts off what a blocked domain sends without asking anybody: mail by
// sendmail(1), and what is queued (postconf(5), sender_dependent_default_transport_maps).
//
// A line is "@DOMAIN deferd-held:TEXT": a transport of master.cf that defers whatever it gets,
// until Postfix notices that the line is gone (it looks every 10 s). Postfix's own "retry:" would
// do for what is queued, but smtpd(8) then answers 450 to each recipient before deferd is asked. A
// new table takes the old one's place in one step, so Postfix never meets half a table. Nothing is
// kept for ever on the word of somebody who is gone: unless it is said again within kTrusted, the
// table is emptied, and mail flows.
//
// Safe from any thread.

#ifndef DEFERD_LIMITER_APP_SENDER_TABLE_H_
#define DEFERD_LIMITER_APP_SENDER_TABLE_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/app/command.h"
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

  // Makes an empty table: Postfix cannot do without one that it was told of, and an earlier one's
  // word is nobody's.
  absl::Status Open(absl::Time now);

  // Domains and why they are put off. InvalidArgument if one is no domain or a text is not one line
  // of printable ASCII; otherwise errors are those of the file system and of Commands. After an
  // error the old table stays.
  absl::Status Set(const std::map<std::string, std::string>& domains, absl::Time now);

  // Empties the table if nobody has Set it for kTrusted.
  absl::Status Tick(absl::Time now);

 private:
  absl::Status Write(const std::map<std::string, std::string>& domains)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> postmap_;
  const std::string path_;
  Mutex mutex_;
  Commands commands_ ABSL_GUARDED_BY(mutex_);
  // What is in it; none: an earlier one's, not known.
  std::optional<std::map<std::string, std::string>> domains_ ABSL_GUARDED_BY(mutex_);
  absl::Time said_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);  // of the last time
  absl::Time failed_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_SENDER_TABLE_H_
