// A client for the socket tests: connects to an address of Listener's form, speaks and listens.
// Every wait ends by itself after kPatience, so a broken server fails a test instead of hanging it.

#ifndef DEFERD_TESTS_LIMITER_PORT_SOCKET_CLIENT_H_
#define DEFERD_TESTS_LIMITER_PORT_SOCKET_CLIENT_H_

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace deferd {

inline constexpr std::chrono::seconds kPatience{30};

// A folder of its own under testing::TempDir(), removed with everything in it.
class TempFolder {
 public:
  TempFolder() : path_(testing::TempDir() + "/dXXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) abort();
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string File(absl::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

// True once `condition` holds; false if it does not within kPatience.
template <typename Condition>
bool Eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class SocketClient {
 public:
  SocketClient() = default;
  explicit SocketClient(absl::string_view address) { Connect(address); }
  SocketClient(SocketClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  SocketClient& operator=(SocketClient&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~SocketClient() { Close(); }

  // Takes a descriptor; the Connect that follows takes none.
  bool Prepare(int family) {
    Close();
    fd_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    prepared_ = fd_ >= 0;
    return prepared_;
  }
  bool Connect(absl::string_view address) {
    if (!std::exchange(prepared_, false)) Close();
    if (absl::ConsumePrefix(&address, "unix:")) {
      sockaddr_un where{};
      where.sun_family = AF_UNIX;
      std::memcpy(where.sun_path, address.data(), address.size());
      return ConnectTo(reinterpret_cast<sockaddr*>(&where), sizeof(where));
    }
    const size_t colon = address.rfind(':');
    uint32_t port = 0;
    if (!absl::SimpleAtoi(address.substr(colon + 1), &port)) return false;
    if (absl::StartsWith(address, "[")) {
      sockaddr_in6 where{};
      where.sin6_family = AF_INET6;
      where.sin6_addr = in6addr_loopback;
      where.sin6_port = htons(static_cast<uint16_t>(port));
      return ConnectTo(reinterpret_cast<sockaddr*>(&where), sizeof(where));
    }
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    where.sin_port = htons(static_cast<uint16_t>(port));
    return ConnectTo(reinterpret_cast<sockaddr*>(&where), sizeof(where));
  }

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // False if the server has hung up before all was sent.
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t put = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put >= 0) {
        bytes.remove_prefix(static_cast<size_t>(put));
      } else if (errno != EAGAIN || !Sendable(kPatience)) {
        return false;
      }
    }
    return true;
  }

  // Sends what the kernel takes at once: the number of bytes, 0 if it takes none.
  size_t SendSome(absl::string_view bytes) {
    const ssize_t put = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return put < 0 ? 0 : static_cast<size_t>(put);
  }

  void HalfClose() { shutdown(fd_, SHUT_WR); }

  bool Ready(short what, std::chrono::milliseconds patience) {
    pollfd wait{.fd = fd_, .events = what, .revents = 0};
    return poll(&wait, 1, static_cast<int>(patience.count())) == 1;
  }

  // Whether the kernel takes more within `patience`, and the server is still there.
  bool Sendable(std::chrono::milliseconds patience) {
    pollfd wait{.fd = fd_, .events = POLLOUT, .revents = 0};
    return poll(&wait, 1, static_cast<int>(patience.count())) == 1 && wait.revents == POLLOUT;
  }

  // `size` bytes, fewer if the server hangs up first.
  std::string Read(size_t size) {
    std::string got;
    char buffer[1 << 16];
    while (got.size() < size && Ready(POLLIN, kPatience)) {
      const ssize_t n = recv(fd_, buffer, std::min(sizeof(buffer), size - got.size()), 0);
      if (n <= 0) break;
      got.append(buffer, static_cast<size_t>(n));
    }
    return got;
  }

  // Up to and with the next LF.
  std::string ReadLine() {
    std::string line;
    while (line.empty() || line.back() != '\n') {
      const std::string byte = Read(1);
      if (byte.empty()) break;
      line += byte;
    }
    return line;
  }

  // Everything until the server closes. `*closed` says whether it did.
  std::string ReadToEnd(bool* closed) {
    std::string got;
    char buffer[1 << 16];
    *closed = false;
    while (Ready(POLLIN, kPatience)) {
      const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
      if (n <= 0) {
        *closed = true;
        break;
      }
      got.append(buffer, static_cast<size_t>(n));
    }
    return got;
  }

  // Whether the server closes without a byte more.
  bool SeesClose() {
    bool closed = false;
    return ReadToEnd(&closed).empty() && closed;
  }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  bool ConnectTo(const sockaddr* where, socklen_t size) {
    if (fd_ < 0) fd_ = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ >= 0 && connect(fd_, where, size) == 0) return true;
    Close();
    return false;
  }

  int fd_ = -1;
  bool prepared_ = false;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_PORT_SOCKET_CLIENT_H_
