// Listening sockets by address: "unix:/run/deferd/exim.sock", "127.0.0.1:4040", "[::1]:4040" (port
// 0: any free one).
//
// A socket that systemd passed (sd_listen_fds(3)) and that is bound to the same address is used
// instead of a new one, once; its file's mode and group stay systemd's. A unix socket file left
// behind by a dead process is replaced; one that answers is not: AlreadyExists names it. TCP
// addresses must be loopback ("localhost" is 127.0.0.1): InvalidArgument otherwise, since nothing
// here is meant for a network. Every error begins with the address and says what to do.

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
  int mode = 0660;    // of a unix socket's file
  std::string group;  // its group; empty leaves the process's
  int backlog = 1024;
};

// Owns the descriptor (listening, non-blocking, close-on-exec), and the file of a unix socket that
// it made: the destructor removes it, unless another file has taken its place.
class Listener {
 public:
  // AlreadyExists: another process listens there. FailedPrecondition: the operator must act, for
  // example a missing directory. InvalidArgument: the address or the group is wrong. Unavailable:
  // the system has no more descriptors or memory.
  static absl::StatusOr<Listener> Open(absl::string_view address, const ListenOptions& options);

  // Checks the form alone, without opening anything.
  static absl::Status CheckAddress(absl::string_view address);

  Listener(Listener&& other) noexcept { *this = std::move(other); }
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();

  int fd() const { return fd_; }
  const std::string& address() const { return address_; }  // with the real port

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
