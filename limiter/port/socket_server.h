// The socket server that every listening socket of deferd uses.
//
// It owns connections and bytes; a Session, which does no I/O, interprets the bytes. All sessions
// of a server run on one thread and one libevent loop and need no lock. Clients may be slow,
// silent, endless or disappear: each connection has a bounded buffer and an idle limit, the number
// of connections is bounded, no user of the machine can occupy all of them, and no client can delay
// another.

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

// The process at the other end of a unix socket (SO_PEERCRED); -1 if the kernel does not report it.
struct Peer {
  int64_t uid = -1;
  int64_t pid = -1;
  std::string name;  // of a caller who proved it otherwise, such as "token:help-desk"; else empty
};

class Session {
 public:
  virtual ~Session() = default;

  // Consumes all of `bytes` (split at any point) and appends answers to `out`. Returns false to
  // close the connection once `out` is written; the session is not called again then.
  virtual bool OnBytes(absl::string_view bytes, std::string* out) = 0;

  // The client has shut down its sending side; may append a last answer.
  virtual void OnEnd(std::string* out) = 0;
};

class SocketServer {
 public:
  struct Options {
    absl::Duration idle =
        absl::Seconds(5);        // closes after this time without a byte in either direction
    int max_connections = 4096;  // of this listener; further ones are closed at once
    size_t max_pending_output = 256 << 10;  // stops reading while more than this is unsent
    // Shares of the connections (connection_shares.h). All TCP clients are one untrusted peer,
    // because TCP does not identify them. Without `evict_after` no connection is closed to make
    // room.
    std::vector<int64_t> trusted;  // uids
    int reserved = 0;              // connections reserved for the trusted uids
    int max_per_peer = 0;          // per untrusted uid; 0: no limit of its own
    absl::Duration evict_after = absl::InfiniteDuration();
  };
  using NewSession = std::function<std::unique_ptr<Session>(const Peer&)>;

  // Unavailable if the event loop cannot be created.
  static absl::StatusOr<std::unique_ptr<SocketServer>> Create();
  virtual ~SocketServer() = default;

  // Call before Run. `new_session` creates this listener's sessions on the loop's thread and may
  // return nullptr to refuse the connection. InvalidArgument if an option is not positive.
  virtual absl::Status Listen(Listener listener, const Options& options,
                              NewSession new_session) = 0;

  // Serves on the calling thread until Stop. Call once.
  virtual void Run() = 0;

  // Safe from any thread, also before Run. Accepts no further connection, answers all questions
  // received so far and writes the answers for at most `drain`. Connections with nothing to write
  // are closed at once.
  virtual void Stop(absl::Duration drain) = 0;

  // Whether the loop has made a turn since the last call (true at the first); asks it for the next
  // turn. False: the loop is stuck in a session. Safe from any thread, one caller at a time.
  virtual bool HasTurned() = 0;

  // Safe from any thread.
  struct Stats {
    int64_t open = 0;      // connections now
    int64_t accepted = 0;  // since the start
    int64_t refused = 0;   // too many connections
    int64_t evicted = 0;   // closed to make room for another
    int64_t idled = 0;     // closed because idle
    int64_t starved = 0;   // times that accepting paused, out of descriptors or memory
  };
  virtual Stats stats() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_SOCKET_SERVER_H_
