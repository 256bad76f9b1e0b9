#include "exporter/http_server.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/exporter/http_fixture.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

using HttpServerTest = HttpFixture;

constexpr char kOk[] = "HTTP/1.1 200 OK\r\n";

TEST_F(HttpServerTest, ServesMetrics) {
  const std::string answer = Get("/metrics");
  EXPECT_THAT(answer, StartsWith(kOk));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nX-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\ndeferd_scrapes 1\n"));
  EXPECT_THAT(Get("/metrics?x=1"), EndsWith("\r\n\r\ndeferd_scrapes 2\n"));
}

TEST_F(HttpServerTest, ServesAllOfItsAddresses) {
  std::vector<Listener> listeners;
  std::vector<std::string> addresses;
  for (int i = 0; i < 2; ++i) {
    absl::StatusOr<Listener> listener = Listener::Open("127.0.0.1:0", {});
    ASSERT_THAT(listener, IsOk());
    addresses.push_back(listener->address());
    listeners.push_back(*std::move(listener));
  }
  auto server = HttpServer::Start(std::move(listeners), {});
  ASSERT_THAT(server, IsOk());
  for (const std::string& address : addresses) {
    address_ = address;
    EXPECT_THAT(Get("/healthz"), EndsWith("ok\n")) << address;
  }
}

TEST_F(HttpServerTest, SaysThatItLives) {
  EXPECT_THAT(Get("/healthz"), AllOf(StartsWith(kOk), EndsWith("\r\n\r\nok\n")));
}

TEST_F(HttpServerTest, SaysWhetherItIsReadyAndWhyNot) {
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith(kOk), EndsWith("\r\n\r\nready\n")));
  not_ready_ = "mainlog: not read yet\npolicy: stale";
  EXPECT_THAT(Get("/readyz"), AllOf(StartsWith("HTTP/1.1 503 Service Unavailable\r\n"),
                                    EndsWith("\r\n\r\nmainlog: not read yet\npolicy: stale\n")));
  EXPECT_THAT(Get("/healthz"), StartsWith(kOk));
  not_ready_ = "one line\n";
  EXPECT_THAT(Get("/readyz"), EndsWith("\r\n\r\none line\n"));
}

TEST_F(HttpServerTest, HeadHasTheHeadersAndNoBody) {
  const std::string answer = Ask("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_THAT(answer, StartsWith(kOk));
  EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 17\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, AnswersTheOldProtocol) {
  EXPECT_THAT(Ask("GET /healthz HTTP/1.0\r\n\r\n"),
              AllOf(HasSubstr(" 200 OK\r\n"), EndsWith("\r\n\r\nok\n")));
  EXPECT_THAT(Ask("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
              EndsWith("\r\n\r\nok\n"));
}

TEST_F(HttpServerTest, OneRequestAConnection) {
  const std::string one = "GET /metrics HTTP/1.1\r\n\r\n";
  EXPECT_THAT(Ask(one + one), EndsWith("deferd_scrapes 1\n"));
  EXPECT_EQ(scrapes_, 1);
}

TEST_F(HttpServerTest, OtherMethodsAreRefused) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW", "get"}) {
    const std::string answer =
        Ask(absl::StrCat(method, " /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_THAT(answer, AnyOf(StartsWith("HTTP/1.1 501 "), StartsWith("HTTP/1.1 400 "))) << method;
  }
  EXPECT_THAT(Ask("POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"),
              StartsWith("HTTP/1.1 501 "));
  EXPECT_EQ(scrapes_, 0);
}

TEST_F(HttpServerTest, OtherPathsAreNotFound) {
  for (const char* path : {"/", "/metric", "/metrics/", "/METRICS", "/%6detrics", "/../metrics",
                           "//metrics", "/<script>"}) {
    const std::string answer = Get(path);
    EXPECT_THAT(answer, Not(StartsWith(kOk))) << path;
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 4")) << path;
    EXPECT_THAT(answer, Not(HasSubstr("script"))) << path;
  }
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_EQ(scrapes_, 0);
}

TEST_F(HttpServerTest, LoopbackHostsAreServed) {
  for (const char* host : {"localhost", "LocalHost:9780", "127.0.0.1", "127.0.0.1:80", "127.0.0.2",
                           "[::1]", "[::1]:9780"}) {
    EXPECT_THAT(Get("/healthz", absl::StrCat("Host: ", host, "\r\n")), StartsWith(kOk)) << host;
  }
  EXPECT_THAT(Ask("GET http://localhost:9780/healthz HTTP/1.1\r\n\r\n"), StartsWith(kOk));
}

TEST_F(HttpServerTest, OtherHostsAreForbidden) {
  for (const char* host :
       {"example.com", "example.com:9780", "localhost.example.com", "127.0.0.1.example.com",
        "127.0.0.1:80:example.com", "128.0.0.1", "192.0.2.1", "[::2]", "[::1].example.com", "[::1",
        "::1", "localhost:80x", "localhost@example.com", ":80", "[]"}) {
    EXPECT_THAT(Get("/metrics", absl::StrCat("Host: ", host, "\r\n")),
                StartsWith("HTTP/1.1 403 Forbidden\r\n"))
        << host;
  }
  EXPECT_THAT(Ask("GET http://example.com/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_EQ(scrapes_, 0);
}

TEST_F(HttpServerTest, ServesIpv6) {
  Start("[::1]:0");
  EXPECT_THAT(Get("/healthz"), StartsWith(kOk));
}

TEST_F(HttpServerTest, HalfCloseAfterTheRequestIsAnswered) {
  SocketClient client(address_);
  ASSERT_TRUE(client.Send("GET /healthz HTTP/1.1\r\n\r\n"));
  client.HalfClose();
  bool closed = false;
  EXPECT_THAT(client.ReadToEnd(&closed), EndsWith("\r\n\r\nok\n"));
  EXPECT_TRUE(closed);
}

TEST_F(HttpServerTest, RequestByteByByte) {
  SocketClient client(address_);
  for (const char c : std::string("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")) {
    ASSERT_TRUE(client.Send(absl::string_view(&c, 1)));
  }
  bool closed = false;
  EXPECT_THAT(client.ReadToEnd(&closed), EndsWith("\r\n\r\nok\n"));
}

TEST_F(HttpServerTest, StopsWithOpenConnections) {
  SocketClient silent(address_), half(address_);
  ASSERT_TRUE(half.Send("GET /met"));
  EXPECT_THAT(Get("/healthz"), StartsWith(kOk));  // both others are accepted by now
  server_.reset();
  EXPECT_TRUE(silent.SeesClose());
  EXPECT_TRUE(half.SeesClose());
  EXPECT_FALSE(SocketClient(address_).connected());
}

}  // namespace
}  // namespace deferd
