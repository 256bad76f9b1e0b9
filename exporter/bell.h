// A bell that wakes an event loop from any thread.
//
// Holds an eventfd, which is readable from Ring until Silence. Shared by those who ring and the
// loop, so that none of them needs to know whether the other still runs.

#ifndef DEFERD_EXPORTER_BELL_H_
#define DEFERD_EXPORTER_BELL_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace deferd {

class Bell {
 public:
  Bell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Bell() {
    if (fd_ >= 0) close(fd_);
  }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  int fd() const { return fd_; }  // -1: no descriptor was left
  void Ring() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));
  }
  void Silence() const {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof(count));
  }

 private:
  const int fd_;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_BELL_H_
