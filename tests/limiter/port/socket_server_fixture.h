// A SocketServer of parrots in a thread of its own, for the tests of what it serves and of its
// limits.

#ifndef DEFERD_TESTS_LIMITER_PORT_SOCKET_SERVER_FIXTURE_H_
#define DEFERD_TESTS_LIMITER_PORT_SOCKET_SERVER_FIXTURE_H_

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/port/socket_server.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {

// Answers every line by itself repeated; "bye" ends the session after its answer.
class Parrot : public Session {
 public:
  Parrot(int times, std::atomic<int64_t>* said) : times_(times), said_(said) {}

  bool OnBytes(absl::string_view bytes, std::string* out) override {
    for (const char c : bytes) {
      line_ += c;
      if (c != '\n') continue;
      for (int i = 0; i < times_; ++i) *out += line_;
      said_->fetch_add(static_cast<int64_t>(line_.size()) * times_);
      if (line_ == "bye\n") return false;
      line_.clear();
    }
    return true;
  }
  void OnEnd(std::string* out) override { absl::StrAppend(out, "end:", line_); }

 private:
  const int times_;
  std::atomic<int64_t>* const said_;
  std::string line_;
};

class SocketServerTest : public testing::Test {
 protected:
  SocketServerTest() : server_(*SocketServer::Create()) {}
  ~SocketServerTest() override { StopAndJoin(absl::Seconds(10)); }

  std::string Unix(absl::string_view name = "s.sock") {
    return absl::StrCat("unix:", folder_.File(name));
  }
  // Returns the address with the real port.
  std::string Serve(const std::string& address, SocketServer::Options options = {.idle = kLong},
                    int times = 1) {
    absl::StatusOr<Listener> listener = Listener::Open(address, {.backlog = 4096});
    EXPECT_THAT(listener, IsOk());
    const std::string real = listener->address();
    EXPECT_THAT(server_->Listen(*std::move(listener), options,
                                [this, times](const Peer& peer) {
                                  peer_uid_ = peer.uid;
                                  peer_pid_ = peer.pid;
                                  return std::make_unique<Parrot>(times, &said_);
                                }),
                IsOk());
    return real;
  }
  void Run() {
    thread_ = std::thread([this] { server_->Run(); });
  }
  void StopAndJoin(absl::Duration drain) {
    server_->Stop(drain);
    if (thread_.joinable()) thread_.join();
  }
  // How many connections this process can hold both ends of, `wanted` at most.
  static int Connections(int wanted) {
    rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    return static_cast<int>(std::min<rlim_t>(wanted, (files.rlim_cur - 100) / 2));
  }

  static constexpr absl::Duration kLong = absl::Minutes(10);

  TempFolder folder_;
  std::unique_ptr<SocketServer> server_;
  std::thread thread_;
  std::atomic<int64_t> said_{0};
  std::atomic<int64_t> peer_uid_{-2};
  std::atomic<int64_t> peer_pid_{-2};
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_PORT_SOCKET_SERVER_FIXTURE_H_
