#include "limiter/port/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace deferd {
namespace {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_storage room;
};

struct Address {
  std::string path;  // of the unix socket; empty: TCP
  SocketAddress tcp;
  socklen_t tcp_size = 0;
  uint16_t port = 0;
};

absl::Status Wrong(absl::string_view address, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(address, ": ", what));
}

absl::StatusOr<Address> ParseUnix(absl::string_view address, absl::string_view path) {
  constexpr size_t kMaxPath = sizeof(sockaddr_un{}.sun_path) - 1;
  if (path.empty()) return Wrong(address, "the path is missing; expected unix:/PATH");
  if (absl::StrContains(path, '\0')) return Wrong(address, "the path has a zero byte");
  if (path.size() > kMaxPath) {
    return Wrong(address, absl::StrCat("the path has ", path.size(),
                                       " bytes; the limit for a unix socket is ", kMaxPath));
  }
  Address parsed;
  parsed.path = std::string(path);
  return parsed;
}

absl::StatusOr<Address> ParseTcp(absl::string_view address) {
  constexpr char kExpected[] = "expected unix:/PATH, 127.0.0.1:PORT or [::1]:PORT";
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return Wrong(address, kExpected);
  absl::string_view host = address.substr(0, colon);
  const absl::string_view port_text = address.substr(colon + 1);
  uint32_t port = 0;
  for (char c : port_text) {
    if (!absl::ascii_isdigit(c)) return Wrong(address, kExpected);
  }
  if (!absl::SimpleAtoi(port_text, &port) || port > 65535) {
    return Wrong(address, "the port must be a number from 0 to 65535");
  }

  Address parsed;
  parsed.port = static_cast<uint16_t>(port);
  std::memset(&parsed.tcp, 0, sizeof(parsed.tcp));
  bool loopback;
  if (absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]")) {
    parsed.tcp_size = sizeof(parsed.tcp.v6);
    parsed.tcp.v6.sin6_family = AF_INET6;
    parsed.tcp.v6.sin6_port = htons(parsed.port);
    if (inet_pton(AF_INET6, std::string(host).c_str(), &parsed.tcp.v6.sin6_addr) != 1) {
      return Wrong(address, kExpected);
    }
    loopback = IN6_IS_ADDR_LOOPBACK(&parsed.tcp.v6.sin6_addr);
  } else {
    if (host == "localhost") host = "127.0.0.1";
    parsed.tcp_size = sizeof(parsed.tcp.v4);
    parsed.tcp.v4.sin_family = AF_INET;
    parsed.tcp.v4.sin_port = htons(parsed.port);
    if (inet_pton(AF_INET, std::string(host).c_str(), &parsed.tcp.v4.sin_addr) != 1) {
      return Wrong(address, kExpected);
    }
    loopback = ntohl(parsed.tcp.v4.sin_addr.s_addr) >> 24 == 127;
  }
  if (!loopback) {
    return Wrong(
        address,
        "not a loopback address; only 127.0.0.1, [::1] and unix sockets are supported, use a "
        "proxy for other clients");
  }
  return parsed;
}

absl::StatusOr<Address> ParseAddress(absl::string_view address) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:")) return ParseUnix(address, path);
  return ParseTcp(address);
}

std::string Directory(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "the working directory";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Turns an errno of socket(2), bind(2), listen(2), chown(2) or chmod(2) into advice.
absl::Status SystemError(absl::string_view address, const std::string& path, int error) {
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(absl::StrCat(
          address, ": address in use; another deferd or another service listens there"));
    case EACCES:
    case EPERM:
      return absl::FailedPreconditionError(
          path.empty() ? absl::StrCat(address, ": permission denied; ports below 1024 need root")
                       : absl::StrCat(address, ": permission denied; does ", Directory(path),
                                      " exist and belong to this user?"));
    case ENOENT:
    case ENOTDIR:
      return absl::FailedPreconditionError(absl::StrCat(address, ": no directory ", Directory(path),
                                                        "; create it and give it to this user"));
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return absl::FailedPreconditionError(
          absl::StrCat(address, ": this machine has no such address; is IPv6 switched off?"));
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return absl::UnavailableError(
          absl::StrCat(address, ": ", std::generic_category().message(error)));
    default:
      return absl::FailedPreconditionError(
          absl::StrCat(address, ": ", std::generic_category().message(error)));
  }
}

// The socket that systemd passed for this address, or -1. The descriptor number is pointed at
// /dev/null afterwards: the socket is not found twice, and no other file can get the number.
int TakePassed(const Address& address) {
  for (int fd = SD_LISTEN_FDS_START, end = fd + sd_listen_fds(0); fd < end; ++fd) {
    const int same =
        !address.path.empty() ? sd_is_socket_unix(fd, SOCK_STREAM, 1, address.path.c_str(), 0)
        : address.port != 0
            ? sd_is_socket_sockaddr(fd, SOCK_STREAM, &address.tcp.any, address.tcp_size, 1)
            : 0;
    if (same <= 0) continue;
    const int taken = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (taken < 0) return -1;
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) {
      dup3(null, fd, O_CLOEXEC);
      close(null);
    }
    return taken;
  }
  return -1;
}

// Removes a stale socket file at `path`, which bind(2) reported as in use.
absl::Status RemoveStale(absl::string_view address, const sockaddr_un& where) {
  struct stat file;
  if (lstat(where.sun_path, &file) != 0) {
    return errno == ENOENT ? absl::OkStatus() : SystemError(address, where.sun_path, errno);
  }
  if (!S_ISSOCK(file.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(address, ": a file that is not a socket exists there; remove it"));
  }
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return SystemError(address, where.sun_path, errno);
  const int result = connect(probe, reinterpret_cast<const sockaddr*>(&where), sizeof(where));
  const int error = result == 0 ? 0 : errno;
  close(probe);
  if (error == ENOENT) return absl::OkStatus();
  if (error == EACCES) return SystemError(address, where.sun_path, error);
  // A full backlog (EAGAIN) or a datagram socket (EPROTOTYPE) also belongs to a live process.
  if (error != ECONNREFUSED) return SystemError(address, where.sun_path, EADDRINUSE);
  if (unlink(where.sun_path) != 0 && errno != ENOENT) {
    return SystemError(address, where.sun_path, errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<gid_t> FindGroup(absl::string_view address, const std::string& name) {
  constexpr size_t kMaxEntry = 1 << 20;
  for (size_t size = 1 << 10; size <= kMaxEntry; size *= 4) {
    std::vector<char> buffer(size);
    struct group entry;
    struct group* found = nullptr;
    const int error = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) continue;
    if (found != nullptr) return entry.gr_gid;
    break;
  }
  return Wrong(address,
               absl::StrCat("no such group \"", name,
                            "\"; use the group that the mail server "
                            "runs as (on Debian \"Debian-exim\" or \"postfix\"; deferd --check "
                            "names the group of this machine)"));
}

}  // namespace

absl::Status Listener::GiveToGroup(const std::string& path, const std::string& group) {
  const absl::StatusOr<gid_t> gid = FindGroup(address_, group);
  if (!gid.ok()) return gid.status();
  if (lchown(path.c_str(), static_cast<uid_t>(-1), *gid) == 0) return absl::OkStatus();
  if (errno != EPERM) return SystemError(address_, path, errno);
  return absl::FailedPreconditionError(absl::StrCat(
      address_, ": not permitted to set its group to ", group, "; add this user to that group"));
}

// Nobody can connect before listen(2), so the mode may be set after bind(2).
absl::Status Listener::MakeUnix(const std::string& path, const ListenOptions& options) {
  sockaddr_un where;
  std::memset(&where, 0, sizeof(where));
  where.sun_family = AF_UNIX;
  std::memcpy(where.sun_path, path.data(), path.size());
  const auto* any = reinterpret_cast<const sockaddr*>(&where);

  fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return SystemError(address_, path, errno);
  if (bind(fd_, any, sizeof(where)) != 0) {
    if (errno != EADDRINUSE) return SystemError(address_, path, errno);
    if (absl::Status status = RemoveStale(address_, where); !status.ok()) return status;
    if (bind(fd_, any, sizeof(where)) != 0) return SystemError(address_, path, errno);
  }
  struct stat file;
  if (lstat(path.c_str(), &file) != 0) return SystemError(address_, path, errno);
  unlink_path_ = path;
  unlink_device_ = file.st_dev;
  unlink_inode_ = file.st_ino;

  if (!options.group.empty()) {
    if (absl::Status status = GiveToGroup(path, options.group); !status.ok()) return status;
  }
  if (chmod(path.c_str(), static_cast<mode_t>(options.mode)) != 0) {
    return SystemError(address_, path, errno);
  }
  if (listen(fd_, options.backlog) != 0) return SystemError(address_, path, errno);
  return absl::OkStatus();
}

absl::StatusOr<Listener> Listener::Open(absl::string_view address, const ListenOptions& options) {
  const absl::StatusOr<Address> parsed = ParseAddress(address);
  if (!parsed.ok()) return parsed.status();

  Listener listener;
  listener.address_ = std::string(address);
  listener.fd_ = TakePassed(*parsed);
  const bool passed = listener.fd_ >= 0;
  if (passed) {
    const int flags = fcntl(listener.fd_, F_GETFL);
    if (flags < 0 || fcntl(listener.fd_, F_SETFL, flags | O_NONBLOCK) != 0) {
      return SystemError(address, parsed->path, errno);
    }
  }
  if (!parsed->path.empty()) {
    if (passed) return listener;
    if (absl::Status status = listener.MakeUnix(parsed->path, options); !status.ok()) return status;
    return listener;
  }

  const int on = 1;
  SocketAddress bound = parsed->tcp;
  if (!passed) {
    listener.fd_ = socket(bound.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener.fd_ < 0 ||
        setsockopt(listener.fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(listener.fd_, &bound.any, parsed->tcp_size) != 0 ||
        listen(listener.fd_, options.backlog) != 0) {
      return SystemError(address, "", errno);
    }
  }
  socklen_t size = sizeof(bound);
  // Accepted connections inherit TCP_NODELAY.
  if (setsockopt(listener.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
      getsockname(listener.fd_, &bound.any, &size) != 0) {
    return SystemError(address, "", errno);
  }
  char host[INET6_ADDRSTRLEN] = "";
  if (bound.any.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &bound.v6.sin6_addr, host, sizeof(host));
    listener.address_ = absl::StrCat("[", host, "]:", ntohs(bound.v6.sin6_port));
  } else {
    inet_ntop(AF_INET, &bound.v4.sin_addr, host, sizeof(host));
    listener.address_ = absl::StrCat(host, ":", ntohs(bound.v4.sin_port));
  }
  return listener;
}

absl::Status Listener::CheckAddress(absl::string_view address) {
  return ParseAddress(address).status();
}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this == &other) return *this;
  Close();
  fd_ = std::exchange(other.fd_, -1);
  address_ = std::move(other.address_);
  unlink_path_ = std::exchange(other.unlink_path_, std::string());
  unlink_device_ = other.unlink_device_;
  unlink_inode_ = other.unlink_inode_;
  return *this;
}

Listener::~Listener() { Close(); }

void Listener::Close() {
  // While the socket is open, no other file can have its inode number.
  struct stat file;
  if (!unlink_path_.empty() && lstat(unlink_path_.c_str(), &file) == 0 &&
      file.st_dev == unlink_device_ && file.st_ino == unlink_inode_) {
    unlink(unlink_path_.c_str());
  }
  unlink_path_.clear();
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace deferd
