// Listening sockets by address: "unix:/run/deferd/exim.sock", "127.0.0.1:4040", "[::1]:4040" (port
// 0: any free port).
//
// If systemd passed a socket with the same address (sd_listen_fds(3)), that socket is used, once,
// with the file mode and group that systemd set. A unix socket file left behind by a dead process
// is replaced; if a process still answers, AlreadyExists names the address. TCP addresses must be
// loopback ("localhost" is 127.0.0.1), because no protocol here is meant for a network:
// InvalidArgument otherwise. Every error begins with the address and says what to do.

#ifndef DEFERD_LIMITER_PORT_LISTENER_H_
#define DEFERD_LIMITER_PORT_LISTENER_H_

#include <sys/types.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd {

struct ListenOptions {
  int mode = 0660;    // of the unix socket file
  std::string group;  // its group; empty: that of the process
  int backlog = 1024;
};

// Owns the descriptor (listening, non-blocking, close-on-exec) and the unix socket file that it
// created: the destructor removes the file unless another one has taken its place.
class Listener {
 public:
  // AlreadyExists: another process listens there. FailedPrecondition: the operator must act, for
  // example create a directory. InvalidArgument: the address or the group is wrong. Unavailable:
  // the system is out of descriptors or memory.
  static absl::StatusOr<Listener> Open(absl::string_view address, const ListenOptions& options);

  // Checks the syntax only, without opening anything.
  static absl::Status CheckAddress(absl::string_view address);

  Listener(Listener&& other) noexcept { *this = std::move(other); }
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  int fd() const { return fd_; }
  const std::string& address() const { return address_; }  // with the actual port

 private:
  Listener() = default;
  absl::Status MakeUnix(const std::string& path, const ListenOptions& options);
  absl::Status GiveToGroup(const std::string& path, const std::string& group);
  void Close();

  int fd_ = -1;
  std::string address_;
  std::string unlink_path_;  // empty: nothing to remove
  dev_t unlink_device_ = 0;
  ino_t unlink_inode_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_LISTENER_H_
