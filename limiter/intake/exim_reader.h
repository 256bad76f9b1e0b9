// Exim's main log to attempts: plain or syslog-wrapped lines, joined by (id, arrival time).
//
// `==` with -52, -53, -54 (retry time not reached), -57 (concurrency limit) and `*>` are no
// attempts and appear nowhere. An attempt whose arrival was never seen is an attempt with an empty
// identity; but `>>`, which Exim logs before the arrival, waits for it or for the completion. A
// record that syslog split in pieces is read from its first piece, where all fields are.
//
// What a filter of our own hands back is of whoever sent the first message: by its answer ("250 OK
// id=ID" of a loopback host or one of `own_hosts`), else by Message-ID and sender, or it is unclear
// (hand_overs.h). A filter may be a host, also one of `relay_hosts`, or a trusted user's program
// that names a protocol of its own (-oMr).

#ifndef DEFERD_LIMITER_INTAKE_EXIM_READER_H_
#define DEFERD_LIMITER_INTAKE_EXIM_READER_H_

#include <memory>

#include "absl/time/time.h"
#include "limiter/intake/log_reader.h"
#include "policy/charge.h"

namespace deferd {

struct EximReaderOptions {
  absl::TimeZone zone = absl::LocalTimeZone();
  size_t max_open_messages = 1'000'000;  // beyond, the oldest arrival is forgotten and counted
  // Tells what becomes of messages, and lines for people (all kinds of LogEvent), not attempts and
  // completions alone.
  bool open_messages = false;
  HostList own_hosts;    // [charge] internal_hosts
  HostList relay_hosts;  // [charge] relay_hosts
};

std::unique_ptr<LogReader> NewEximReader(const EximReaderOptions& options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_EXIM_READER_H_
