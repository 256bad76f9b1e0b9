// The API over a socket: what clients that send too much, too slowly, or two requests as one get.

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "exporter/bell.h"
#include "exporter/http_server.h"
#include "limiter/port/mutex.h"
#include "tests/exporter/api/api_fixture.h"
#include "tests/limiter/port/socket_client.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class HttpApiTest : public ApiFixture {
 protected:
  HttpApiTest() : token_(AddToken("panel", TokenRole::kAdmin)) {
    const std::string path = testing::TempDir() + "/api.sock";
    std::filesystem::remove(path);
    absl::StatusOr<Listener> listener = Listener::Open("unix:" + path, {});
    EXPECT_THAT(listener, IsOk());
    address_ = listener->address();
    std::vector<Listener> listeners;
    listeners.push_back(*std::move(listener));
    server_ = *HttpServer::Start(std::move(listeners), {.api = [this](const HttpRequest& request) {
                                   return api_->Answer(request);
                                 }});
  }

  std::string Send(const std::string& bytes) {
    SocketClient client(address_);
    client.Send(bytes);
    bool closed = false;
    std::string answer = client.ReadToEnd(&closed);
    EXPECT_TRUE(closed);
    return answer;
  }
  // The lines up to one that holds `text`.
  static std::string ReadUntil(SocketClient* client, const std::string& text) {
    std::string lines;
    for (int i = 0; i < 40 && lines.find(text) == std::string::npos; ++i) {
      absl::StrAppend(&lines, client->ReadLine(), "\n");
    }
    return lines;
  }
  std::string Head(const std::string& line) const {
    return absl::StrCat(line, " HTTP/1.1\r\nHost: panel.example\r\nAuthorization: Bearer ", token_,
                        "\r\n");
  }
  std::string Post(const std::string& path, const std::string& body) {
    return absl::StrCat(Head("POST " + path), "Content-Type: application/json; charset=utf-8\r\n",
                        "Content-Length: ", body.size(), "\r\n\r\n", body);
  }

  const std::string token_;
  std::string address_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpApiTest, ReadsAndChanges) {
  answer_ = Json{{"version", "1"}};
  EXPECT_THAT(
      Send(Head("GET /api/v1/status") + "\r\n"),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: application/json\r\n"),
            HasSubstr("Cache-Control: no-store\r\n"),
            HasSubstr("X-Content-Type-Options: nosniff\r\n"), HasSubstr("\"version\"")));
  EXPECT_THAT(Send(Post("/api/v1/subjects/a.example/block", R"({"for":"1h","reason":"x"})")),
              StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(called_.back().verb, "block");
  EXPECT_EQ(called_.back().args["for"], "1h");
  EXPECT_THAT(
      Send("GET /api/v1/status HTTP/1.1\r\n\r\n"),
      AllOf(StartsWith("HTTP/1.1 401 Unauthorized\r\n"), HasSubstr("WWW-Authenticate: Bearer")));
  const std::string head = Send(Head("HEAD /api/v1/status") + "\r\n");
  EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), Not(HasSubstr("\"version\""))));
}

TEST_F(HttpApiTest, AnApiServesNoOtherPages) {
  EXPECT_THAT(Send(Head("GET /metrics") + "\r\n"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

TEST_F(HttpApiTest, RefusesOversize) {
  EXPECT_THAT(Send(Post("/api/v1/reload", std::string(20'000, ' '))), Not(HasSubstr(" 200 OK")));
  EXPECT_THAT(Send(Head("GET /api/v1/status?" + std::string(20'000, 'a')) + "\r\n"),
              Not(HasSubstr(" 200 OK")));
  EXPECT_TRUE(called_.empty());
}

TEST_F(HttpApiTest, ASmuggledRequestIsNeverRead) {
  const std::string hidden = Post("/api/v1/subjects/a.example/unblock", "{}");
  const std::string reload = Head("POST /api/v1/reload") + "Content-Type: application/json\r\n";
  const std::vector<std::string> requests = {
      reload + "Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}" + hidden,
      reload + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" +
          hidden,
      reload + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + hidden,
      reload + "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + hidden,
      reload + "Content-Length: +2\r\n\r\n{}" + hidden,
      reload + "Content-Length: -1\r\n\r\n" + hidden,
      reload + "Content-Length : 2\r\n\r\n{}" + hidden,
      reload + "Authorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}" + hidden,
      reload + "Host: other.example\r\nContent-Length: 2\r\n\r\n{}" + hidden,
      reload + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}" + hidden,
      reload + "Content-Length\x0b: 2\r\n\r\n{}" + hidden,
      reload + "Transfer-Encoding\t: chunked\r\nContent-Length: 2\r\n\r\n{}" + hidden,
      reload + "X: a\x0b\x01\r\nContent-Length: 2\r\n\r\n{}" + hidden,
      reload + "Content-Length: 2, 2\r\n\r\n{}" + hidden,
      reload + "Content-Length: 0x2\r\n\r\n{}" + hidden,
      reload + "Content-Length: 2 2\r\n\r\n{}" + hidden};
  for (const std::string& request : requests) {
    EXPECT_THAT(Send(request), Not(HasSubstr(" 200 OK"))) << request;
    EXPECT_TRUE(called_.empty()) << request;
  }
  // A pipelined request is not answered either: the connection ends after the first.
  EXPECT_THAT(Send(reload + "Content-Length: 2\r\n\r\n{}" + hidden), HasSubstr(" 200 OK"));
  ASSERT_EQ(called_.size(), 1u);
  EXPECT_EQ(called_[0].verb, "reload");
}

TEST_F(HttpApiTest, AStreamGoesOnUntilItsEnd) {
  answer_ = Json::array({Json{{"seq", 1}, {"type", "case"}, {"subject", "a.example"}}});
  SocketClient reader(address_);
  reader.Send(Head("GET /api/v1/events") + "Accept: text/event-stream\r\n\r\n");
  EXPECT_THAT(ReadUntil(&reader, "event: case"), AllOf(HasSubstr(" 200 OK"), HasSubstr("id: 1")));
  EXPECT_THAT(Send(Head("GET /api/v1/status") + "\r\n"), HasSubstr(" 200 OK"))
      << "others are served";
  ASSERT_TRUE(tokens_->Revoke("panel").ok());
  bool closed = false;
  reader.ReadToEnd(&closed);
  EXPECT_TRUE(closed);
}

TEST_F(HttpApiTest, AStreamWhoseReaderIsGoneIsForgotten) {
  answer_ = Json::array({Json{{"seq", 1}, {"type", "case"}, {"subject", "a.example"}}});
  for (int i = 0; i < 5; ++i) {
    SocketClient reader(address_);
    reader.Send(Head("GET /api/v1/events") + "Accept: text/event-stream\r\n\r\n");
    ReadUntil(&reader, "event: case");
  }
  EXPECT_THAT(Send(Head("GET /api/v1/status") + "\r\n"), HasSubstr(" 200 OK"));
}

TEST_F(HttpApiTest, ASlowClientKeepsNobodyWaiting) {
  SocketClient slow(address_);
  slow.Send("POST /api/v1/reload HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_THAT(Send(Head("GET /api/v1/status") + "\r\n"), HasSubstr(" 200 OK"));
  bool closed = false;
  slow.ReadToEnd(&closed);
  EXPECT_TRUE(closed) << "its time is limited";
  EXPECT_EQ(called_.size(), 1u);
}

TEST_F(HttpApiTest, NoTextOfOursAddsAHeader) {
  answer_ = absl::NotFoundError("x\r\nSet-Cookie: a=b\r\n\r\n<script>");
  EXPECT_THAT(Send(Head("GET /api/v1/status") + "\r\n"),
              AllOf(StartsWith("HTTP/1.1 404 "), Not(HasSubstr("\nSet-Cookie"))));
  const std::string path = "GET /api/v1/subjects/a%0d%0aSet-Cookie:%20a=b";
  EXPECT_THAT(Send(Head(path) + "\r\n"), Not(HasSubstr("\nSet-Cookie")));
}

// A daemon whose verbs take as long as a test wants.
class SlowApiTest : public ApiFixture {
 protected:
  SlowApiTest()
      : slow_([this](const std::string& verb, const Json&, const std::string&) {
          if (verb == "events") return absl::StatusOr<Json>(Json::array());
          MutexLock lock(&mutex_);
          ++begun_;
          while (hold_ && verb != "status") changed_.Wait(&mutex_);
          ++ended_;
          return absl::StatusOr<Json>(Json::object());
        }),
        slow_api_({.tokens = tokens_.get(), .clock = &clock_, .caller = &slow_, .version = "1"}) {}

  ~SlowApiTest() override { LetGo(); }

  void Serve(absl::Duration patience) {
    const std::string path = testing::TempDir() + "/slow_api.sock";
    std::filesystem::remove(path);
    absl::StatusOr<Listener> listener = Listener::Open("unix:" + path, {});
    ASSERT_THAT(listener, IsOk());
    address_ = listener->address();
    std::vector<Listener> listeners;
    listeners.push_back(*std::move(listener));
    server_ = *HttpServer::Start(std::move(listeners), {.api =
                                                            [this](const HttpRequest& request) {
                                                              clock_.Advance(absl::Seconds(1));
                                                              return slow_api_.Answer(request);
                                                            },
                                                        .patience = patience,
                                                        .bell = bell_});
  }
  void LetGo() {
    MutexLock lock(&mutex_);
    hold_ = false;
    changed_.NotifyAll();
  }
  int Begun() {
    MutexLock lock(&mutex_);
    return begun_;
  }
  int Ended() {
    MutexLock lock(&mutex_);
    return ended_;
  }
  static std::string Request(const std::string& line, const std::string& token) {
    return absl::StrCat(line, " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ", token,
                        "\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n\r\n");
  }
  std::string Answer(SocketClient* client) {
    bool closed = false;
    std::string answer = client->ReadToEnd(&closed);
    EXPECT_TRUE(closed);
    return answer;
  }
  std::string Ask(const std::string& line, const std::string& token) {
    SocketClient client(address_);
    client.Send(Request(line, token));
    return Answer(&client);
  }
  // A stream that is open; its status line.
  std::string Open(SocketClient* client, const std::string& token) {
    client->Connect(address_);
    client->Send(Request("GET /api/v1/events", token));
    return client->ReadLine();
  }

  Mutex mutex_;
  CondVar changed_;
  bool hold_ ABSL_GUARDED_BY(mutex_) = true;
  int begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int ended_ ABSL_GUARDED_BY(mutex_) = 0;
  Caller slow_;
  WebApi slow_api_;
  const std::shared_ptr<const Bell> bell_ = std::make_shared<Bell>();
  std::string address_;
  std::unique_ptr<HttpServer> server_;
};

constexpr char kSearch[] = "GET /api/v1/attempts";
constexpr char kAct[] = "POST /api/v1/reload";

TEST_F(SlowApiTest, LongSearchesOfOneKeepNobodyElseWaiting) {
  Serve(absl::Seconds(60));
  const std::string greedy = AddToken("greedy", TokenRole::kViewer);
  const std::string other = AddToken("other", TokenRole::kViewer);
  std::vector<SocketClient> searches(8);
  for (SocketClient& one : searches) {
    one.Connect(address_);
    one.Send(Request(kSearch, greedy));
  }
  EXPECT_TRUE(Eventually([this] { return Begun() == 2; })) << "no more of one at once";
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Ask("GET /api/v1/status", other), HasSubstr(" 200 OK"));
  }
  SocketClient stream;
  EXPECT_THAT(Open(&stream, other), HasSubstr(" 200 OK"));
  LetGo();
  for (SocketClient& one : searches) EXPECT_THAT(Answer(&one), HasSubstr(" 200 OK"));
  EXPECT_EQ(Ended(), 28);
}

TEST_F(SlowApiTest, AnAnswerThatTakesLongerThanAConnectionMayBeSilentArrives) {
  Serve(absl::Seconds(60));
  SocketClient client(address_);
  client.Send(Request(kAct, AddToken("panel", TokenRole::kAdmin)));
  EXPECT_TRUE(Eventually([this] { return Begun() == 1; }));
  // Others that send nothing are closed in that time.
  SocketClient silent(address_);
  EXPECT_TRUE(silent.SeesClose());
  LetGo();
  EXPECT_THAT(Answer(&client), AllOf(HasSubstr(" 200 OK"), HasSubstr("{}")));
  EXPECT_EQ(Ended(), 1);
}

TEST_F(SlowApiTest, WhatComesBehindARequestInWorkIsNotRead) {
  Serve(absl::Seconds(60));
  const std::string token = AddToken("panel", TokenRole::kAdmin);
  SocketClient client(address_);
  client.Send(Request(kAct, token));
  EXPECT_TRUE(Eventually([this] { return Begun() == 1; }));
  client.Send(Request("GET /api/v1/status", token));
  client.SendSome(std::string(100'000, 'x'));
  EXPECT_THAT(Ask("GET /api/v1/status", token), HasSubstr(" 200 OK"));
  LetGo();
  EXPECT_THAT(client.ReadLine(), HasSubstr(" 200 OK"));
  EXPECT_THAT(Ask("GET /api/v1/status", token), HasSubstr(" 200 OK"));
  EXPECT_EQ(Ended(), 3);
}

TEST_F(SlowApiTest, WhatTakesTooLongIsSaidAndDoneOnce) {
  Serve(absl::Milliseconds(100));
  const std::string one = AddToken("one", TokenRole::kAdmin);
  EXPECT_THAT(Ask(kSearch, one), StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(Ask(kAct, one),
              AllOf(StartsWith("HTTP/1.1 202 "), HasSubstr("do not send it again")));
  EXPECT_EQ(Begun(), 2);
  // Its share of threads is taken: this one does not begin, and is not done later.
  EXPECT_THAT(Ask(kAct, one), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("nothing was done"),
                                    HasSubstr("Retry-After: ")));
  LetGo();
  EXPECT_TRUE(Eventually([this] { return Ended() == 2; }));
  EXPECT_THAT(Ask("GET /api/v1/status", one), HasSubstr(" 200 OK"));
  EXPECT_EQ(Begun(), 3) << "two that took long, and this";
}

TEST_F(SlowApiTest, TooManyAtOnceAreToldToWait) {
  Serve(absl::Seconds(60));
  const std::string token = AddToken("greedy", TokenRole::kViewer);
  std::vector<SocketClient> searches(24), refused;
  for (size_t i = 0; i < searches.size(); ++i) {
    searches[i].Connect(address_);
    searches[i].Send(Request(kSearch, token));
    if (i == 1) {
      ASSERT_TRUE(Eventually([this] { return Begun() == 2; }));
    }
  }
  EXPECT_TRUE(Eventually([&] {
    for (SocketClient& one : searches) {
      if (one.connected() && one.Ready(POLLIN, std::chrono::milliseconds(0))) {
        refused.push_back(std::exchange(one, SocketClient()));
      }
    }
    return refused.size() == 24 - 16 - 2;
  }));
  for (SocketClient& one : refused) EXPECT_THAT(Answer(&one), StartsWith("HTTP/1.1 503 "));
  LetGo();
  for (SocketClient& one : searches) {
    if (one.connected()) {
      EXPECT_THAT(Answer(&one), HasSubstr(" 200 OK"));
    }
  }
  EXPECT_EQ(Ended(), 18);
}

TEST_F(SlowApiTest, StreamsAreSharedBetweenTokens) {
  Serve(absl::Seconds(60));
  const std::string greedy = AddToken("greedy", TokenRole::kViewer);
  const std::string other = AddToken("other", TokenRole::kViewer);
  std::vector<SocketClient> many(200), few(41);
  for (SocketClient& one : many) ASSERT_THAT(Open(&one, greedy), HasSubstr(" 200 OK"));
  SocketClient more;
  EXPECT_THAT(Open(&more, greedy), HasSubstr(" 503 ")) << "one token has a limit";
  for (SocketClient& one : few) ASSERT_THAT(Open(&one, other), HasSubstr(" 200 OK"));
  bool closed = false;
  many[0].ReadToEnd(&closed);
  EXPECT_TRUE(closed) << "who has most makes room";
  EXPECT_THAT(Ask("GET /api/v1/status", other), HasSubstr(" 200 OK"));
}

TEST_F(SlowApiTest, ARevokedTokenLosesItsStreamWhenTheBellRings) {
  Serve(absl::Seconds(60));
  SocketClient stream;
  ASSERT_THAT(Open(&stream, AddToken("panel", TokenRole::kViewer)), HasSubstr(" 200 OK"));
  ASSERT_THAT(tokens_->Revoke("panel"), IsOk());
  bell_->Ring();
  bool closed = false;
  stream.ReadToEnd(&closed);
  EXPECT_TRUE(closed);
}

// Stopping waits for what runs, and ends before what it works on does.
TEST_F(SlowApiTest, StopsWhileSomethingRuns) {
  Serve(absl::Seconds(60));
  SocketClient client(address_);
  client.Send(Request(kAct, AddToken("panel", TokenRole::kAdmin)));
  SocketClient gone(address_);
  gone.Send(Request(kSearch, AddToken("other", TokenRole::kAdmin)));
  EXPECT_TRUE(Eventually([this] { return Begun() == 2; }));
  gone.Close();
  std::thread stop([this] { server_.reset(); });
  LetGo();
  stop.join();
  EXPECT_EQ(Ended(), 2);
}

}  // namespace
}  // namespace deferd
