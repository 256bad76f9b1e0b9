#include "limiter/app/watchdog.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

// Answers nothing until it is told to.
class Stuck : public Session {
 public:
  Stuck(std::promise<void>* in, std::shared_future<void> out) : in_(in), out_(std::move(out)) {}
  bool OnBytes(absl::string_view, std::string*) override {
    in_->set_value();
    out_.wait();
    return false;
  }
  void OnEnd(std::string*) override {}

 private:
  std::promise<void>* const in_;
  const std::shared_future<void> out_;
};

// The service manager's socket (NOTIFY_SOCKET), and a server whose sessions get stuck.
class WatchdogTest : public testing::Test {
 protected:
  WatchdogTest() : manager_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = folder_.File("notify");
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(manager_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    absl::StatusOr<Listener> listener = Listener::Open("unix:" + folder_.File("s.sock"), {});
    EXPECT_THAT(listener, IsOk());
    EXPECT_THAT(server_->Listen(*std::move(listener), {},
                                [this](const Peer&) {
                                  return std::make_unique<Stuck>(&stuck_, free_.get_future());
                                }),
                IsOk());
    thread_ = std::thread([this] { server_->Run(); });
  }
  ~WatchdogTest() override {
    server_->Stop(absl::ZeroDuration());
    thread_.join();
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
    close(manager_);
  }

  // The next message to the service manager; empty: there is none, and `wait` is false.
  std::string Said(bool wait = false) const {
    char text[256];
    const ssize_t size = recv(manager_, text, sizeof(text), wait ? 0 : MSG_DONTWAIT);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

  TempFolder folder_;
  const int manager_;
  std::promise<void> stuck_, free_;
  std::unique_ptr<SocketServer> server_ = *SocketServer::Create();
  std::thread thread_;
};

TEST_F(WatchdogTest, BeatsWhileTheLoopTurnsAndNotWhileAnAnswerIsStuck) {
  Watchdog watchdog(server_.get());
  EXPECT_TRUE(watchdog.Beat());
  EXPECT_EQ(Said(), "WATCHDOG=1");
  EXPECT_TRUE(Eventually([&] { return watchdog.Beat(); }));
  while (!Said().empty()) {
  }
  SocketClient client("unix:" + folder_.File("s.sock"));
  client.Send("question\n");
  stuck_.get_future().wait();
  watchdog.Beat();  // may be the beat for a turn before
  while (!Said().empty()) {
  }
  for (int look = 0; look < 10; ++look) EXPECT_FALSE(watchdog.Beat());
  EXPECT_EQ(Said(), "");
  free_.set_value();
  EXPECT_TRUE(Eventually([&] { return watchdog.Beat(); })) << "the loop turns again";
  EXPECT_EQ(Said(), "WATCHDOG=1");
}

TEST_F(WatchdogTest, AStopIsNoHang) {
  Watchdog watchdog(server_.get());
  SocketClient client("unix:" + folder_.File("s.sock"));
  client.Send("question\n");
  stuck_.get_future().wait();
  watchdog.Beat();
  ASSERT_FALSE(watchdog.Beat());
  watchdog.Stopping();
  EXPECT_TRUE(watchdog.Beat());
  free_.set_value();
}

TEST_F(WatchdogTest, WithoutAMailServerTheProcessAloneIsWatched) {
  Watchdog watchdog(nullptr);
  EXPECT_TRUE(watchdog.Beat());
  EXPECT_TRUE(watchdog.Beat());
}

TEST_F(WatchdogTest, TheServiceManagerDecidesWhetherAndHowOften) {
  {
    Watchdog unwanted(server_.get());
    unwanted.Start();
  }
  EXPECT_EQ(Said(), "");
  setenv("WATCHDOG_USEC", "3000", 1);
  Watchdog wanted(server_.get());
  wanted.Start();
  for (int beat = 0; beat < 3; ++beat) EXPECT_EQ(Said(/*wait=*/true), "WATCHDOG=1");
}

}  // namespace
}  // namespace deferd
