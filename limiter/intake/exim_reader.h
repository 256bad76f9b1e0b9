// Reads Exim's main log and produces attempts: plain or syslog-wrapped lines, joined by (id,
// arrival time).
//
// `==` with -52, -53, -54 (retry time not reached), -57 (concurrency limit) and `*>` are not
// attempts and are ignored. An attempt whose arrival was not seen has an empty identity; only `>>`,
// which Exim logs before the arrival, waits for the arrival or the completion. Of a record that
// syslog split, only the first piece is read, because it holds all fields.
//
// A message that a local filter hands back belongs to the sender of the original message. The
// original is found by the reply ("250 OK id=ID" of a loopback host or one of `own_hosts`),
// otherwise by Message-ID and sender; if that fails, the sender is unclear (hand_overs.h). A filter
// may be a host, also one of `relay_hosts`, or a trusted user's program that names a protocol of
// its own (-oMr).

#ifndef DEFERD_LIMITER_INTAKE_EXIM_READER_H_
#define DEFERD_LIMITER_INTAKE_EXIM_READER_H_

#include <memory>

#include "absl/time/time.h"
#include "limiter/intake/log_reader.h"
#include "policy/charge.h"

namespace deferd {

struct EximReaderOptions {
  absl::TimeZone zone = absl::LocalTimeZone();
  size_t max_open_messages = 1'000'000;  // above this, the oldest arrival is forgotten and counted
  // Produce all kinds of LogEvent (what happens to messages, and lines for people), not only
  // attempts and completions.
  bool open_messages = false;
  HostList own_hosts;    // [charge] internal_hosts
  HostList relay_hosts;  // [charge] relay_hosts
  OwnMailTest own_mail;  // empty: there is no mail of deferd's own
};

std::unique_ptr<LogReader> NewEximReader(const EximReaderOptions& options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_EXIM_READER_H_
