// The daemon while it starts and stops: whoever comes early finds everything, or a closed door.

#include "limiter/app/daemon.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "exporter/api/token_book.h"
#include "limiter/localrpc/json.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

class DaemonStartTest : public testing::Test {
 protected:
  DaemonStartTest() {
    std::filesystem::create_directory(folder_.File("state"));
    std::ofstream(folder_.File("mainlog")).flush();
    std::ofstream(folder_.File("policy.toml")) << "[rule.r]\nmin_bad = 5\npercent = 25\n";
    std::ofstream(folder_.File("deferd.toml"))
        << "state_dir = \"" << folder_.File("state") << "\"\npolicy = \""
        << folder_.File("policy.toml") << "\"\n[intake]\nexim = [\"" << folder_.File("mainlog")
        << "\"]\n[hook]\nexim = \"unix:" << folder_.File("exim.sock") << "\"\n[admin]\nsocket = \""
        << folder_.File("admin.sock") << "\"\n[http]\nlisten = \"127.0.0.1:0\"\n[api]\nlisten = "
        << "\"unix:" << folder_.File("api.sock") << "\"\nconsole = true\n";
  }

  absl::StatusOr<std::unique_ptr<Daemon>> Start() {
    absl::StatusOr<Config> config = LoadConfig(folder_.File("deferd.toml"));
    if (!config.ok()) return config.status();
    return Daemon::Start(*std::move(config), /*set_aside=*/false);
  }
  // "" if nobody answers.
  std::string Ask(const std::string& socket, const std::string& request) {
    SocketClient client;
    if (!client.Connect("unix:" + folder_.File(socket)) || !client.Send(request)) return "";
    client.HalfClose();
    bool closed = false;
    return client.ReadToEnd(&closed);
  }
  // The status by both doors that give it.
  std::vector<std::string> AskStatus(const std::string& token) {
    return {Ask("api.sock", absl::StrCat("GET /api/v1/status HTTP/1.1\r\nHost: x\r\n",
                                         "Authorization: Bearer ", token, "\r\n\r\n")),
            Ask("admin.sock", "{\"verb\":\"status\",\"args\":{}}\n")};
  }

  TempFolder folder_;
};

TEST_F(DaemonStartTest, WhoeverAsksWhileItStartsOrStopsGetsAWholeAnswerOrNone) {
  const std::string token =
      *TokenBook(folder_.File("state/tokens.json"))
           .Add("early", TokenRole::kAdmin, {}, absl::FromUnixSeconds(1'700'000'000), "test");
  std::atomic<bool> over{false};
  std::atomic<int> answered{0}, partial{0};
  std::vector<std::thread> askers;
  for (int i = 0; i < 2; ++i) {
    askers.emplace_back([&] {
      while (!over) {
        for (const std::string& answer : AskStatus(token)) {
          if (answer.empty() || answer.find(" 429 ") != std::string::npos) continue;
          ++answered;
          for (const char* door : {"\"exim\"", "\"admin\"", "\"http\"", "\"api\""}) {
            if (answer.find(door, answer.find("\"listening\"")) == std::string::npos) ++partial;
          }
        }
      }
    });
  }
  for (int i = 0; i < 3; ++i) {
    const int before = answered;
    absl::StatusOr<std::unique_ptr<Daemon>> daemon = Start();
    ASSERT_THAT(daemon, IsOk());
    EXPECT_TRUE(Eventually([&] { return answered > before; }));
  }
  over = true;
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(partial, 0);
}

TEST_F(DaemonStartTest, ADamagedFileOfTokensStopsTheApiAlone) {
  const std::string path = folder_.File("state/tokens.json");
  std::ofstream(path) << "{\"tokens\": [";
  absl::StatusOr<std::unique_ptr<Daemon>> daemon = Start();
  ASSERT_THAT(daemon, IsOk());
  const std::vector<std::string> answers = AskStatus("deferd_x");
  EXPECT_THAT(answers[0], testing::StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answers[1], testing::HasSubstr("tokens.json: not a file of tokens"));
}

}  // namespace
}  // namespace deferd
