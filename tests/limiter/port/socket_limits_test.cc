// What bounds a client: connections, silence, unread answers, descriptors, the server's end.

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/limiter/port/socket_server_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using SocketLimitsTest = SocketServerTest;

// Sends lines without reading until nothing more is taken; returns what was taken.
std::string SendUntilFull(SocketClient* client) {
  std::string sent;
  int line = 0;
  while (sent.size() < 64 << 20) {
    std::string text;
    for (int i = 0; i < 100; ++i) absl::StrAppend(&text, "line ", line++, "\n");
    for (absl::string_view rest = text; !rest.empty();) {
      const size_t size = client->SendSome(rest);
      sent.append(rest.data(), size);
      rest.remove_prefix(size);
      if (size == 0 && !client->Sendable(std::chrono::milliseconds(300))) return sent;
    }
  }
  return sent;
}

TEST_F(SocketLimitsTest, FurtherConnectionsAreRefusedAndCounted) {
  const std::string address = Serve(Unix(), {.idle = kLong, .max_connections = 2});
  const std::string other = Serve(Unix("other.sock"));
  Run();
  SocketClient one(address), two(address);
  ASSERT_TRUE(one.Send("1\n") && two.Send("2\n"));
  EXPECT_EQ(one.ReadLine() + two.ReadLine(), "1\n2\n");
  SocketClient three(address);
  EXPECT_TRUE(three.SeesClose());
  EXPECT_EQ(server_->stats().refused, 1);
  SocketClient elsewhere(other);  // a limit is its listener's own
  ASSERT_TRUE(elsewhere.Send("x\n"));
  EXPECT_EQ(elsewhere.ReadLine(), "x\n");
  one.Close();
  EXPECT_TRUE(Eventually([this] { return server_->stats().open == 2; }));
  SocketClient four(address);
  ASSERT_TRUE(four.Send("4\n"));
  EXPECT_EQ(four.ReadLine(), "4\n");
}

TEST_F(SocketLimitsTest, SilentClientIsClosedWhileOthersGoOn) {
  const std::string hasty = Serve(Unix(), {.idle = absl::Milliseconds(50)});
  const std::string patient = Serve(Unix("patient.sock"));
  Run();
  SocketClient other(patient);
  SocketClient mute(hasty);
  SocketClient half(hasty);
  ASSERT_TRUE(half.Send("never ended"));
  EXPECT_TRUE(mute.SeesClose());
  EXPECT_TRUE(half.SeesClose());
  EXPECT_EQ(server_->stats().idled, 2);
  ASSERT_TRUE(other.Send("still here\n"));
  EXPECT_EQ(other.ReadLine(), "still here\n");
}

TEST_F(SocketLimitsTest, EachByteRenewsTheIdleLimit) {
  const absl::Duration idle = absl::Milliseconds(300);
  const std::string address = Serve(Unix(), {.idle = idle});
  Run();
  SocketClient client(address);
  const auto begin = std::chrono::steady_clock::now();
  int bytes = 0;
  while (std::chrono::steady_clock::now() - begin < absl::ToChronoMilliseconds(3 * idle)) {
    ASSERT_TRUE(client.Send("x"));
    ++bytes;
    EXPECT_FALSE(client.Ready(POLLIN, std::chrono::milliseconds(20)));
  }
  ASSERT_TRUE(client.Send("\n"));
  EXPECT_EQ(client.ReadLine(), std::string(bytes, 'x') + "\n");
}

TEST_F(SocketLimitsTest, ClientThatDoesNotReadIsNotReadFrom) {
  constexpr int kTimes = 20;
  const std::string address =
      Serve(Unix(), {.idle = kLong, .max_pending_output = 64 << 10}, kTimes);
  Run();
  SocketClient slow(address);
  const std::string sent = SendUntilFull(&slow);
  // Its answers fill the kernel's buffer (some 200 kB), max_pending_output, and one read's worth.
  EXPECT_LT(said_.load(), 1 << 20);

  SocketClient other(address);
  ASSERT_TRUE(other.Send("x\n"));
  EXPECT_EQ(other.Read(2 * kTimes).size(), 2u * kTimes);

  slow.HalfClose();
  std::string expected;
  size_t begin = 0;
  for (size_t end; (end = sent.find('\n', begin)) != std::string::npos; begin = end + 1) {
    for (int i = 0; i < kTimes; ++i) expected.append(sent, begin, end + 1 - begin);
  }
  absl::StrAppend(&expected, "end:", sent.substr(begin));
  bool closed = false;
  EXPECT_TRUE(slow.ReadToEnd(&closed) == expected);
  EXPECT_TRUE(closed);
}

TEST_F(SocketLimitsTest, ClientThatNeverReadsIsClosedForSilence) {
  const std::string address = Serve(Unix(), {.idle = absl::Milliseconds(50)}, 20);
  Run();
  SocketClient slow(address);
  SendUntilFull(&slow);
  EXPECT_TRUE(Eventually([this] { return server_->stats().idled == 1; }));
}

TEST_F(SocketLimitsTest, WantOfDescriptorsPausesAcceptingAndEnds) {
  const std::string address = Serve(Unix());
  Run();
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  SocketClient client(address);  // the loop is running, and has all that it needs
  ASSERT_TRUE(client.Send("x\n"));
  EXPECT_EQ(client.ReadLine(), "x\n");
  // None at all may be had from here on, whichever numbers are free: a limit above the lowest free
  // one would leave others to the server, if somebody else (a sanitizer) closes theirs meanwhile.
  SocketClient starved;
  ASSERT_TRUE(starved.Prepare(AF_UNIX));
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool connected = starved.Connect(address);
  const bool paused = Eventually([this] { return server_->stats().starved >= 2; });
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(connected);
  EXPECT_TRUE(paused);
  ASSERT_TRUE(starved.Send("late\n"));
  EXPECT_EQ(starved.ReadLine(), "late\n");
  EXPECT_LT(server_->stats().starved, 100);
}

TEST_F(SocketLimitsTest, StopAnswersWhatWasSentAndAcceptsNoMore) {
  const std::string address = Serve(Unix(), {.idle = kLong}, 20);
  Run();
  SocketClient quiet(address), busy(address);
  ASSERT_TRUE(quiet.Send("x\n"));
  EXPECT_EQ(quiet.Read(40).size(), 40u);
  SendUntilFull(&busy);
  server_->Stop(absl::Minutes(1));
  EXPECT_TRUE(quiet.SeesClose());
  EXPECT_FALSE(SocketClient(address).connected());
  bool closed = false;
  const std::string answers = busy.ReadToEnd(&closed);
  EXPECT_TRUE(closed);
  EXPECT_EQ(answers.size(), static_cast<size_t>(said_.load() - 40));
  thread_.join();
  EXPECT_EQ(server_->stats().open, 0);
}

TEST_F(SocketLimitsTest, StopGivesUpOnClientsThatDoNotRead) {
  const std::string address = Serve(Unix(), {.idle = kLong}, 20);
  Run();
  SocketClient busy(address);
  SendUntilFull(&busy);
  StopAndJoin(absl::Milliseconds(20));
  EXPECT_EQ(server_->stats().open, 0);
}

TEST_F(SocketLimitsTest, ClientThatTalksOnWithoutEndIsCut) {
  const std::string address = Serve(Unix());
  Run();
  SocketClient client(address);
  ASSERT_TRUE(client.Send("bye\n"));
  const std::string much(1 << 16, 'x');
  bool cut = false;
  for (int i = 0; i < 1000 && !cut; ++i) cut = !client.Send(much);
  EXPECT_TRUE(cut);
}

// Whoever holds all connections, also by dribbling bytes, keeps nobody out: on TCP all are one
// peer, so the idlest goes.
TEST_F(SocketLimitsTest, HeldConnectionsMakeRoomForWhoAsks) {
  const SocketServer::Options options = {
      .idle = kLong, .max_connections = 20, .evict_after = absl::ZeroDuration()};
  const std::string addresses[] = {Serve("127.0.0.1:0", options), Serve(Unix(), options)};
  Run();
  for (const std::string& address : addresses) {
    std::vector<std::unique_ptr<SocketClient>> held;
    for (int i = 0; i < 50; ++i) {
      held.push_back(std::make_unique<SocketClient>(address));
      held.back()->Send("half a quest");
      SocketClient honest(address);
      ASSERT_TRUE(honest.Send("x\n"));
      EXPECT_EQ(honest.ReadLine(), "x\n") << i;
    }
    EXPECT_TRUE(held.front()->SeesClose());
  }
  EXPECT_EQ(server_->stats().refused, 0);
  EXPECT_GE(server_->stats().evicted, 60);
  EXPECT_LE(server_->stats().open, 40);
}

TEST_F(SocketLimitsTest, WhoIsTrustedHasAReserve) {
  SocketServer::Options options = {.idle = kLong, .max_connections = 4, .reserved = 2};
  const std::string address = Serve(Unix(), options);  // nobody is trusted here
  options.trusted = {static_cast<int64_t>(getuid())};
  const std::string mine = Serve(Unix("mine.sock"), options);
  Run();
  std::vector<std::unique_ptr<SocketClient>> held;
  for (const std::string& door : {address, mine}) {
    int answered = 0;
    for (int i = 0; i < 6; ++i) {
      held.push_back(std::make_unique<SocketClient>(door));
      answered += held.back()->Send("x\n") && held.back()->ReadLine() == "x\n";
    }
    EXPECT_EQ(answered, door == mine ? 4 : 2);
  }
}

TEST_F(SocketLimitsTest, OptionsMustBePositive) {
  const SocketServer::Options bad[] = {
      {.idle = absl::ZeroDuration()}, {.max_connections = 0}, {.max_pending_output = 0}};
  for (const SocketServer::Options& options : bad) {
    absl::StatusOr<Listener> listener = Listener::Open(Unix(), {});
    ASSERT_THAT(listener, IsOk());
    EXPECT_THAT(server_->Listen(*std::move(listener), options, nullptr),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be positive")));
  }
}

}  // namespace
}  // namespace deferd
