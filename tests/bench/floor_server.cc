// The floor of question_floor.h as a program, for benchmarks that need another process: serves the
// unix socket PATH until its standard input ends.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/bench/question_floor.h"

int main(int argc, char** argv) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (argc != 2 || std::strlen(argv[1]) >= sizeof(address.sun_path)) {
    std::fprintf(stderr, "usage: floor_server PATH\n");
    return 2;
  }
  std::strcpy(address.sun_path, argv[1]);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 1024) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  deferd::ServeFloor(fd, STDIN_FILENO);
  return 0;
}
