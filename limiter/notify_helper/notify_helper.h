// The protocol of deferd-notify: deferd asks it to run the operator's command for one event.
//
// It is the admin protocol (limiter/localrpc/admin_session.h) over a unix socket. The one verb is
//   run   {"event": {...}, "timeout_ms": N}: starts the command with its fixed arguments and the
//         event as one line of JSON on standard input, and answers {} when it has ended with
//         status 0
// Nothing of the event is ever part of the command line or the environment. A command that does not
// end in time is killed with all processes of its group. Commands run one after another.

#ifndef DEFERD_LIMITER_NOTIFY_HELPER_NOTIFY_HELPER_H_
#define DEFERD_LIMITER_NOTIFY_HELPER_NOTIFY_HELPER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/command.h"
#include "limiter/port/socket_server.h"

namespace deferd {

class NotifyHelper {
 public:
  static constexpr absl::Duration kLongest = absl::Minutes(5);

  struct Options {
    std::vector<std::string> command;  // absolute path and arguments
    int64_t uid = -1;                  // of deferd; root is always allowed
  };

  explicit NotifyHelper(Options options) : options_(std::move(options)) {}

  bool IsAllowed(const Peer& peer) const {
    return peer.uid == 0 || (peer.uid >= 0 && peer.uid == options_.uid);
  }

  // Unavailable: the command failed, with the first line that it wrote; DeadlineExceeded: it took
  // too long.
  absl::StatusOr<Json> Handle(const std::string& verb, const Json& args, const Peer& peer);

 private:
  const Options options_;
  Commands commands_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_NOTIFY_HELPER_NOTIFY_HELPER_H_
