#include "tests/bench/question_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace deferd {
namespace {

using SteadyClock = std::chrono::steady_clock;

class Client {
 public:
  Client(const LoadOptions& options, const std::vector<std::string>& questions)
      : options_(options), questions_(questions), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    std::memset(&where_, 0, sizeof(where_));
    where_.sun_family = AF_UNIX;
    std::memcpy(where_.sun_path, options.path.data(), options.path.size());
    port_.sin_family = AF_INET;
    port_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    port_.sin_port = htons(static_cast<uint16_t>(std::atoi(options.path.c_str())));
  }
  ~Client() {
    for (const Slot& slot : slots_) close(slot.fd);
    for (const int fd : idle_) close(fd);
    close(epoll_);
  }

  Load Run() {
    for (int i = 0; i < options_.idle; ++i) {
      idle_.push_back(Open());
      if (idle_.back() < 0) return Failed();
    }
    slots_.resize(options_.connections);
    for (Slot& slot : slots_) {
      if (!Connect(&slot) || !Ask(&slot)) return Failed();
    }
    const SteadyClock::time_point begin = SteadyClock::now();
    SteadyClock::time_point now = begin;
    while (now - begin < options_.length) {
      epoll_event ready[64];
      const int count = epoll_wait(epoll_, ready, 64, 1000);
      if (count <= 0) return Failed();
      for (int i = 0; i < count; ++i) {
        Slot* slot = &slots_[ready[i].data.u32];
        const Part part = Read(slot);
        if (part == Part::kWrong) return Failed();
        if (part == Part::kMore) continue;
        now = SteadyClock::now();
        micros_.push_back(std::chrono::duration<float, std::micro>(now - slot->asked).count());
        if (!options_.kept) {
          close(slot->fd);
          if (!Connect(slot)) return Failed();
        }
        if (!Ask(slot)) return Failed();
      }
    }
    return {.answers = static_cast<int64_t>(micros_.size()),
            .seconds = std::chrono::duration<double>(now - begin).count(),
            .p50_micros = Percentile(0.50),
            .p99_micros = Percentile(0.99)};
  }

 private:
  struct Slot {
    int fd = -1;
    std::string answer;
    SteadyClock::time_point asked;
  };

  static Load Failed() { return {.failed = true}; }

  int Open() const {
    const bool tcp = port_.sin_port != 0;
    const int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr* const where = tcp ? reinterpret_cast<const sockaddr*>(&port_)
                                      : reinterpret_cast<const sockaddr*>(&where_);
    if (connect(fd, where, tcp ? sizeof(port_) : sizeof(where_)) == 0) return fd;
    close(fd);
    return -1;
  }

  enum class Part { kMore, kWhole, kWrong };

  Part Read(Slot* slot) {
    char bytes[4096];
    const ssize_t got = recv(slot->fd, bytes, sizeof(bytes), 0);
    if (got < 0) return Part::kWrong;
    slot->answer.append(bytes, static_cast<size_t>(got));
    const bool by_end = options_.answer_end.empty();
    if (!by_end && got == 0) return Part::kWrong;
    if (by_end ? got > 0 : !slot->answer.ends_with(options_.answer_end)) return Part::kMore;
    if (!slot->answer.starts_with(options_.answer)) return Part::kWrong;
    slot->answer.clear();
    // readsocket reads to the end before it believes the answer.
    const bool whole = options_.kept || by_end || recv(slot->fd, bytes, sizeof(bytes), 0) == 0;
    return whole ? Part::kWhole : Part::kWrong;
  }

  bool Connect(Slot* slot) {
    slot->asked = SteadyClock::now();
    slot->fd = Open();
    if (slot->fd < 0) return false;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(slot - slots_.data());
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, slot->fd, &event) == 0;
  }

  bool Ask(Slot* slot) {
    const std::string& question = questions_[next_++ % questions_.size()];
    if (options_.kept) slot->asked = SteadyClock::now();
    if (send(slot->fd, question.data(), question.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(question.size())) {
      return false;
    }
    return options_.kept || options_.answer_end.empty() || shutdown(slot->fd, SHUT_WR) == 0;
  }

  double Percentile(double share) {
    if (micros_.empty()) return 0;
    const auto at = micros_.begin() + static_cast<ptrdiff_t>(share * (micros_.size() - 1));
    std::nth_element(micros_.begin(), at, micros_.end());
    return *at;
  }

  const LoadOptions& options_;
  const std::vector<std::string>& questions_;
  const int epoll_;
  sockaddr_un where_;
  sockaddr_in port_ = {};  // 0: a unix socket
  std::vector<Slot> slots_;
  std::vector<int> idle_;
  std::vector<float> micros_;
  size_t next_ = 0;
};

}  // namespace

Load AskInALoop(const LoadOptions& options, const std::vector<std::string>& questions) {
  return Client(options, questions).Run();
}

}  // namespace deferd
