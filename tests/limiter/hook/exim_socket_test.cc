// The door as an MTA meets it: EximSession behind a SocketServer on a unix socket.

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "limiter/hook/exim_session.h"
#include "limiter/port/listener.h"
#include "limiter/port/socket_server.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

class EximSocketTest : public testing::Test {
 protected:
  EximSocketTest() : server_(*SocketServer::Create()) {
    absl::StatusOr<Listener> listener = Listener::Open(address_, {.backlog = 4096});
    EXPECT_THAT(listener, IsOk());
    EXPECT_THAT(server_->Listen(*std::move(listener), {.idle = absl::Minutes(10)},
                                [this](const Peer&) { return NewSession(); }),
                IsOk());
    thread_ = std::thread([this] { server_->Run(); });
  }
  ~EximSocketTest() override {
    server_->Stop(absl::ZeroDuration());
    thread_.join();
  }

  // Rejects the login "bad", passes all others.
  std::unique_ptr<Session> NewSession() {
    return std::make_unique<EximSession>(
        [](const Question& question) -> Answer {
          if (question.identity.login != "bad") return {};
          return {.verdict = Verdict::kReject, .text = "Login bad has exceeded."};
        },
        [this](const Answer&, absl::Duration) { ++answered_; }, [this] { ++malformed_; });
  }
  // One question as readsocket asks it.
  std::string Ask(absl::string_view question) {
    SocketClient client(address_);
    if (!client.Send(question)) return "not sent";
    client.HalfClose();
    bool closed = false;
    const std::string answer = client.ReadToEnd(&closed);
    return closed ? answer : "not closed";
  }

  TempFolder folder_;
  const std::string address_ = absl::StrCat("unix:", folder_.File("exim.sock"));
  std::atomic<int> answered_{0};
  std::atomic<int> malformed_{0};
  std::unique_ptr<SocketServer> server_;
  std::thread thread_;
};

TEST_F(EximSocketTest, OneQuestionPerConnection) {
  EXPECT_EQ(Ask("check\tlogin=good\n"), "pass\n");
  EXPECT_EQ(Ask("check\tlogin=bad"), "reject Login bad has exceeded.\n");
  EXPECT_EQ(Ask(""), "");
  EXPECT_EQ(Ask("\n"), "error expected \"check\" as the first word\n");
  EXPECT_EQ(answered_, 2);
  EXPECT_EQ(malformed_, 1);
}

TEST_F(EximSocketTest, TenThousandPipelinedQuestions) {
  std::string questions, answers;
  for (int i = 0; i < 10'000; ++i) {
    absl::StrAppend(&questions, "check\tlogin=", i % 7 == 0 ? "bad" : "good", "\tid=", i, "\n");
    answers += i % 7 == 0 ? "reject Login bad has exceeded.\n" : "pass\n";
  }
  SocketClient client(address_);
  std::thread writer([&] {
    EXPECT_TRUE(client.Send(questions));
    client.HalfClose();
  });
  bool closed = false;
  EXPECT_TRUE(client.ReadToEnd(&closed) == answers);
  EXPECT_TRUE(closed);
  writer.join();
}

TEST_F(EximSocketTest, ByteByByte) {
  SocketClient client(address_);
  for (const char c : std::string("check\tlogin=bad\ncheck\tlogin=good\n")) {
    ASSERT_TRUE(client.Send({&c, 1}));
  }
  EXPECT_EQ(client.ReadLine(), "reject Login bad has exceeded.\n");
  EXPECT_EQ(client.ReadLine(), "pass\n");
}

TEST_F(EximSocketTest, TwentyMalformedLinesEndTheConnection) {
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "EHLO mail.example.com\n";
  SocketClient client(address_);
  ASSERT_TRUE(client.Send(lines));
  bool closed = false;
  const std::string answers = client.ReadToEnd(&closed);
  EXPECT_TRUE(closed);
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), EximSession::kMaxMalformed);
}

TEST_F(EximSocketTest, RandomBytesNeverSilenceTheDoor) {
  std::mt19937 random(20240607);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random() % 6000, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string answers = Ask(bytes);
    for (const absl::string_view line : absl::StrSplit(answers, '\n')) {
      ASSERT_TRUE(line.empty() || absl::StartsWith(line, "error ")) << line;
    }
  }
  EXPECT_EQ(Ask("check\tlogin=good\n"), "pass\n");
}

}  // namespace
}  // namespace deferd
