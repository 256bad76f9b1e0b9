#include "tests/bench/question_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace deferd {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kAnswer[] = "pass\n";
constexpr size_t kAnswerSize = sizeof(kAnswer) - 1;

class Client {
 public:
  Client(const LoadOptions& options, const std::vector<std::string>& questions)
      : options_(options), questions_(questions), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    std::memset(&where_, 0, sizeof(where_));
    where_.sun_family = AF_UNIX;
    std::memcpy(where_.sun_path, options.path.data(), options.path.size());
  }
  ~Client() {
    for (const Slot& slot : slots_) close(slot.fd);
    close(epoll_);
  }

  Load Run() {
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
        char answer[64];
        const ssize_t got = recv(slot->fd, answer, sizeof(answer), 0);
        if (got != kAnswerSize || std::memcmp(answer, kAnswer, kAnswerSize) != 0) return Failed();
        // readsocket reads to the end before it believes the answer.
        if (!options_.kept && recv(slot->fd, answer, sizeof(answer), 0) != 0) return Failed();
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
    SteadyClock::time_point asked;
  };

  static Load Failed() { return {.failed = true}; }

  bool Connect(Slot* slot) {
    slot->asked = SteadyClock::now();
    slot->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(slot->fd, reinterpret_cast<const sockaddr*>(&where_), sizeof(where_)) != 0) {
      return false;
    }
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
    return options_.kept || shutdown(slot->fd, SHUT_WR) == 0;
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
  std::vector<Slot> slots_;
  std::vector<float> micros_;
  size_t next_ = 0;
};

}  // namespace

Load AskInALoop(const LoadOptions& options, const std::vector<std::string>& questions) {
  return Client(options, questions).Run();
}

}  // namespace deferd
