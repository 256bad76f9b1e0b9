#include "tests/bench/question_floor.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace deferd {
namespace {

void Watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

// False when the client is done.
bool Answer(int fd) {
  char buffer[8192];
  const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  std::string out;
  for (ssize_t i = 0; i < got; ++i) {
    if (buffer[i] == '\n') out += "pass\n";
  }
  return send(fd, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size());
}

}  // namespace

void ServeFloor(int listen_fd, int stop_fd) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  Watch(epoll, listen_fd);
  Watch(epoll, stop_fd);
  for (bool stopped = false; !stopped;) {
    epoll_event ready[256];
    const int count = epoll_wait(epoll, ready, 256, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = ready[i].data.fd;
      if (fd == stop_fd) {
        stopped = true;
      } else if (fd != listen_fd) {
        if (!Answer(fd)) close(fd);
      } else {
        for (int client; (client = accept4(fd, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          Watch(epoll, client);
        }
      }
    }
  }
  close(epoll);
}

}  // namespace deferd
