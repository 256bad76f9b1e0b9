// The API over a socket: what clients that send too much, too slowly, or two requests as one get.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "exporter/http_server.h"
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
      reload + "Authorization: Bearer x\r\nContent-Length: 2\r\n\r\n{}" + hidden};
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

}  // namespace
}  // namespace deferd
