// What clients that are slow, silent, many, or talk nonsense can do to the HTTP door: nothing.

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/exporter/http_fixture.h"

namespace deferd {
namespace {

using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kMaxLife{5};  // http_server.cc
constexpr int kMaxConnections = 128;

class HttpLimitsTest : public HttpFixture {
 protected:
  void ExpectServing() { EXPECT_THAT(Get("/healthz"), EndsWith("\r\n\r\nok\n")); }

  // Closes without the usual goodbye: the server's answer meets a closed door.
  static void Reset(SocketClient* client) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    client->Close();
  }

  static int OpenDescriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<int>(std::distance(begin(all), end(all)));
  }
};

TEST_F(HttpLimitsTest, GarbageGetsAnErrorOrNothing) {
  std::mt19937 random(20240501);
  const std::string words[] = {"GET ",
                               "HEAD ",
                               "/metrics",
                               " HTTP/1.1",
                               "\r\n",
                               "\n",
                               "Host: localhost",
                               "Content-Length: -1",
                               "POST ",
                               "\r\n\r\n",
                               "Content-Length: 9",
                               "Expect: 100-continue",
                               "http:/",
                               "Transfer-Encoding: chunked",
                               "7fffffffffffffff",
                               "%00"};
  for (int i = 0; i < 2000; ++i) {
    std::string bytes;
    const size_t pieces = random() % 12;
    for (size_t n = 0; n < pieces; ++n) {
      if (random() % 2 == 0) {
        bytes += words[random() % std::size(words)];
      } else {
        for (size_t k = random() % 40; k > 0; --k) bytes += static_cast<char>(random());
      }
    }
    SocketClient client(address_);
    ASSERT_TRUE(client.connected());
    client.Send(bytes);
    if (i % 4 == 0) {
      Reset(&client);
      continue;
    }
    client.HalfClose();
    bool closed = false;
    const std::string answer = client.ReadToEnd(&closed);
    ASSERT_TRUE(closed) << testing::PrintToString(bytes);
    ASSERT_THAT(answer, AnyOf(IsEmpty(), StartsWith("HTTP/"))) << testing::PrintToString(bytes);
  }
  ExpectServing();
}

// After a half-close and a reset the kernel would raise SIGPIPE, which ends a process.
TEST_F(HttpLimitsTest, ClientThatIsGoneBeforeItsAnswer) {
  hold_ = true;
  SocketClient client(address_);
  ASSERT_TRUE(client.Send("GET /metrics HTTP/1.1\r\n\r\n"));
  client.HalfClose();
  EXPECT_TRUE(Eventually([this] { return scrapes_ == 1; }));
  Reset(&client);
  hold_ = false;
  ExpectServing();
}

TEST_F(HttpLimitsTest, HugeHeadersAreRefused) {
  for (const std::string& bytes :
       {"GET /metrics HTTP/1.1\r\nX: " + std::string(9'000, 'x') + "\r\n\r\n",
        "GET /" + std::string(9'000, 'x') + " HTTP/1.1\r\n\r\n",
        std::string(9'000, 'x'), "GET /metrics HTTP/1.1\r\n" + [] {
          std::string many;
          for (int i = 0; i < 2'000; ++i) absl::StrAppend(&many, "A", i, ": b\r\n");
          return many;
        }() + "\r\n"}) {
    SocketClient client(address_);
    client.Send(bytes);
    bool closed = false;
    // What the server did not read may reset the connection and take the answer with it.
    const std::string answer = client.ReadToEnd(&closed);
    EXPECT_TRUE(closed);
    EXPECT_THAT(answer, AnyOf(IsEmpty(), StartsWith("HTTP/1.1 4")));
  }
  EXPECT_EQ(scrapes_, 0);
  const std::string most(7'000, 'x');
  EXPECT_THAT(Get("/healthz", "X: " + most + "\r\n"), EndsWith("\r\n\r\nok\n"));
}

TEST_F(HttpLimitsTest, BodiesAreNotTaken) {
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\nContent-Length: 2000000\r\n\r\nx"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Ask("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\nx"),
              StartsWith("HTTP/1.1 4"));
  EXPECT_EQ(scrapes_, 0);
  ExpectServing();
}

TEST_F(HttpLimitsTest, SilentAndDrippingClientsAreClosed) {
  SocketClient silent(address_), half(address_), drip(address_), body(address_);
  const auto start = SteadyClock::now();
  ASSERT_TRUE(half.Send("GET /metrics HTTP/1.1\r\nHost: loc"));
  ASSERT_TRUE(body.Send("GET /metrics HTTP/1.1\r\nContent-Length: 100\r\n\r\nx"));
  ASSERT_TRUE(drip.Send("GET /metrics HTTP/1.1\r\nX: "));
  while (!drip.Ready(POLLIN, std::chrono::milliseconds(200)) &&
         SteadyClock::now() < start + 4 * kMaxLife) {
    drip.Send("x");
  }
  EXPECT_LT(SteadyClock::now(), start + 2 * kMaxLife);
  for (SocketClient* client : {&silent, &half, &body}) {
    EXPECT_TRUE(client->SeesClose());
    EXPECT_LT(SteadyClock::now(), start + 2 * kMaxLife);
  }
  EXPECT_EQ(scrapes_, 0);
  ExpectServing();
}

TEST_F(HttpLimitsTest, TooManyWaitOutsideAndCannotUseUpDescriptors) {
  std::vector<SocketClient> silent(kMaxConnections + 50);
  const int before = OpenDescriptors();
  for (SocketClient& client : silent) ASSERT_TRUE(client.Connect(address_));
  const int inside = before + static_cast<int>(silent.size()) + kMaxConnections;
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() == inside; }));
  const auto start = SteadyClock::now();
  ExpectServing();  // in its turn, when the silent ones are closed
  EXPECT_LT(SteadyClock::now(), start + 2 * kMaxLife);
  EXPECT_LE(OpenDescriptors(), inside);
  for (int i = 0; i < kMaxConnections; ++i) EXPECT_TRUE(silent[i].SeesClose());
}

TEST_F(HttpLimitsTest, TwoHundredAtOnce) {
  std::vector<SocketClient> clients(200);
  for (SocketClient& client : clients) ASSERT_TRUE(client.Connect(address_));
  for (SocketClient& client : clients) ASSERT_TRUE(client.Send("GET /metrics HTTP/1.1\r\n\r\n"));
  for (SocketClient& client : clients) {
    bool closed = false;
    EXPECT_THAT(client.ReadToEnd(&closed), HasSubstr("\r\n\r\ndeferd_scrapes "));
    EXPECT_TRUE(closed);
  }
  EXPECT_EQ(scrapes_, 200);
}

TEST_F(HttpLimitsTest, ManyThreadsScrape) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 100; ++n) ExpectServing();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(HttpLimitsTest, ClosedConnectionsLeaveNothingOpen) {
  const int before = OpenDescriptors();
  for (int i = 0; i < 1000; ++i) Get(i % 2 == 0 ? "/metrics" : "/nothing");
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= before; }));
}

}  // namespace
}  // namespace deferd
