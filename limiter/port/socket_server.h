// One socket server for all doors.
//
// It owns connections and bytes; what the bytes mean is a Session's, which is sans-I/O: bytes in,
// bytes out. All sessions of a server live on one thread and one libevent loop, so they need no
// lock. A client can be slow, silent, endless or gone: each has a bounded buffer, an idle limit and
// a place in a bounded number of connections, of which no user of the machine can hold all; and
// none can hold up another.

#ifndef DEFERD_LIMITER_PORT_SOCKET_SERVER_H_
#define DEFERD_LIMITER_PORT_SOCKET_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/port/listener.h"

namespace deferd {

// Who is at the other end of a unix socket (SO_PEERCRED); -1 where the kernel does not say.
struct Peer {
  int64_t uid = -1;
  int64_t pid = -1;
};

class Session {
 public:
  virtual ~Session() = default;

  // Takes all of `bytes` (any split is possible) and appends answers to `out`. False: close the
  // connection once `out` is written; the session is then not called again.
  virtual bool OnBytes(absl::string_view bytes, std::string* out) = 0;

  // The client has shut down its sending side; a last answer may be appended.
  virtual void OnEnd(std::string* out) = 0;
};

class SocketServer {
 public:
  struct Options {
    absl::Duration idle = absl::Seconds(5);  // closed after this long without a byte either way
    int max_connections = 4096;              // of this listener; further ones are closed at once
    size_t max_pending_output = 256 << 10;   // with more than this unread, nothing more is read
    // Shares of the connections (connection_shares.h). On TCP all clients are one peer, and none is
    // trusted: nobody says who they are. Without `evict_after` no connection goes to make room.
    std::vector<int64_t> trusted;  // uids
    int reserved = 0;              // connections for them alone
    int max_per_peer = 0;          // of another uid; 0: no share of its own
    absl::Duration evict_after = absl::InfiniteDuration();
  };
  using NewSession = std::function<std::unique_ptr<Session>(const Peer&)>;

  // Unavailable if the event loop cannot be made.
  static absl::StatusOr<std::unique_ptr<SocketServer>> Create();
  virtual ~SocketServer() = default;

  // Before Run. Sessions of each listener are made by its own `new_session`, on the loop's thread;
  // nullptr from it closes the connection. InvalidArgument if an option is not positive.
  virtual absl::Status Listen(Listener listener, const Options& options,
                              NewSession new_session) = 0;

  // Serves on the calling thread until Stop; once only.
  virtual void Run() = 0;

  // From any thread, also before Run. No further connection is accepted; what clients have sent
  // until now is answered, and the answers are written for at most `drain`. Connections with
  // nothing to write are closed at once.
  virtual void Stop(absl::Duration drain) = 0;

  // From any thread.
  struct Stats {
    int64_t open = 0;      // connections now
    int64_t accepted = 0;  // since the start
    int64_t refused = 0;   // too many at once
    int64_t evicted = 0;   // closed to make room for another
    int64_t idled = 0;     // closed for silence
    int64_t starved = 0;   // times that accepting paused for want of descriptors or memory
  };
  virtual Stats stats() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_SOCKET_SERVER_H_
