#include "limiter/port/socket_server.h"

#include <random>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/limiter/port/socket_server_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

TEST_F(SocketServerTest, AnswersOverUnixAndTcpOnOneLoop) {
  const std::string addresses[] = {Serve(Unix()), Serve("127.0.0.1:0"), Serve("[::1]:0")};
  Run();
  for (const std::string& address : addresses) {
    SocketClient client(address);
    ASSERT_TRUE(client.Send("hello\n"));
    EXPECT_EQ(client.ReadLine(), "hello\n");
    const bool is_unix = address == addresses[0];
    EXPECT_EQ(peer_uid_, is_unix ? static_cast<int64_t>(getuid()) : -1);
    EXPECT_EQ(peer_pid_, is_unix ? static_cast<int64_t>(getpid()) : -1);
  }
  EXPECT_EQ(server_->stats().accepted, 3);
}

TEST_F(SocketServerTest, HalfCloseGetsTheLastAnswerThenTheEnd) {
  const std::string address = Serve(Unix());
  Run();
  SocketClient client(address);
  ASSERT_TRUE(client.Send("one\ntwo\nthr"));
  client.HalfClose();
  bool closed = false;
  EXPECT_EQ(client.ReadToEnd(&closed), "one\ntwo\nend:thr");
  EXPECT_TRUE(closed);
}

TEST_F(SocketServerTest, WholeQuestionSentBeforeTheServerRuns) {
  const std::string address = Serve(Unix());
  SocketClient client(address);
  ASSERT_TRUE(client.Send("early\n"));
  client.HalfClose();
  Run();
  bool closed = false;
  EXPECT_EQ(client.ReadToEnd(&closed), "early\nend:");
  EXPECT_TRUE(closed);
  EXPECT_TRUE(Eventually([this] { return server_->stats().open == 0; }));
}

TEST_F(SocketServerTest, SessionThatIsOverIsClosedAfterItsAnswer) {
  for (const char* listen : {"unix", "tcp"}) {
    SCOPED_TRACE(listen);
    server_ = *SocketServer::Create();
    const std::string address = Serve(listen == std::string("unix") ? Unix() : "127.0.0.1:0");
    Run();
    SocketClient client(address);
    // What comes after the end neither gets an answer nor resets the answer away.
    ASSERT_TRUE(client.Send("one\nbye\ntwo\n"));
    ASSERT_TRUE(client.Send(std::string(500'000, 'x')));
    bool closed = false;
    EXPECT_EQ(client.ReadToEnd(&closed), "one\nbye\n");
    EXPECT_TRUE(closed);
    client.Close();
    EXPECT_TRUE(Eventually([this] { return server_->stats().open == 0; }));
    StopAndJoin(absl::ZeroDuration());
  }
}

TEST_F(SocketServerTest, TenThousandPipelinedLinesAreAnsweredInOrder) {
  const std::string address = Serve(Unix());
  Run();
  std::string questions;
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&questions, "question ", i, "\n");
  SocketClient client(address);
  std::thread writer([&] { EXPECT_TRUE(client.Send(questions)); });
  EXPECT_EQ(client.Read(questions.size()), questions);
  writer.join();
}

TEST_F(SocketServerTest, ThousandsOfConnectionsAtOnce) {
  const int count = Connections(3000);
  const std::string address = Serve(Unix());
  Run();
  std::vector<SocketClient> clients(count);
  for (SocketClient& client : clients) ASSERT_TRUE(client.Connect(address));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(clients[i].Send(absl::StrCat(round, "/", i, "\n")));
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(clients[i].ReadLine(), absl::StrCat(round, "/", i, "\n"));
    }
  }
  EXPECT_EQ(server_->stats().open, count);
  clients.clear();
  EXPECT_TRUE(Eventually([this] { return server_->stats().open == 0; }));
}

TEST_F(SocketServerTest, ResetsAndVanishingClientsHarmNobody) {
  const std::string addresses[] = {Serve(Unix()), Serve("127.0.0.1:0")};
  Run();
  for (int i = 0; i < 500; ++i) {
    SocketClient client(addresses[i % 2]);
    ASSERT_TRUE(client.Send(i % 3 == 0 ? "" : "gone before the answer\n"));
    if (i % 5 == 0) {
      const linger reset{.l_onoff = 1, .l_linger = 0};
      setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
  }
  SocketClient client(addresses[0]);
  ASSERT_TRUE(client.Send("well\n"));
  EXPECT_EQ(client.ReadLine(), "well\n");
  EXPECT_TRUE(Eventually([this] { return server_->stats().open == 1; }));
}

TEST_F(SocketServerTest, RandomBytesInRandomPieces) {
  const std::string address = Serve(Unix());
  Run();
  std::mt19937 random(20240607);
  std::vector<SocketClient> clients(16);
  std::vector<std::string> sent(clients.size());
  for (SocketClient& client : clients) ASSERT_TRUE(client.Connect(address));
  for (int i = 0; i < 100'000; ++i) {
    const size_t which = random() % clients.size();
    std::string piece(random() % 20, '\0');
    for (char& c : piece) c = static_cast<char>(random());
    ASSERT_TRUE(clients[which].Send(piece));
    sent[which] += piece;
    const size_t end = sent[which].rfind('\n');
    if (random() % 16 != 0 || end == std::string::npos) continue;
    ASSERT_TRUE(clients[which].Read(end + 1) == sent[which].substr(0, end + 1));
    sent[which].erase(0, end + 1);
  }
}

TEST_F(SocketServerTest, StopBeforeRunEndsItAtOnce) {
  Serve(Unix());
  server_->Stop(kLong);
  server_->Run();
  EXPECT_FALSE(SocketClient(Unix()).connected());
}

TEST_F(SocketServerTest, NoIdleLimitAndNoSessionAreAllowed) {
  const std::string address = Serve(Unix(), {.idle = absl::InfiniteDuration()});
  absl::StatusOr<Listener> closed_door = Listener::Open(Unix("closed.sock"), {});
  ASSERT_THAT(closed_door, IsOk());
  ASSERT_THAT(server_->Listen(*std::move(closed_door), {}, [](const Peer&) { return nullptr; }),
              IsOk());
  Run();
  SocketClient client(address);
  ASSERT_TRUE(client.Send("x\n"));
  EXPECT_EQ(client.ReadLine(), "x\n");
  EXPECT_TRUE(SocketClient(Unix("closed.sock")).SeesClose());
}

}  // namespace
}  // namespace deferd
