// A running HTTP door and raw bytes to speak to it with.

#ifndef DEFERD_TESTS_EXPORTER_HTTP_FIXTURE_H_
#define DEFERD_TESTS_EXPORTER_HTTP_FIXTURE_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "exporter/http_server.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {

class HttpFixture : public testing::Test {
 protected:
  HttpFixture() { Start("127.0.0.1:0"); }

  void Start(absl::string_view listen) {
    absl::StatusOr<Listener> listener = Listener::Open(listen, {});
    ASSERT_THAT(listener, IsOk());
    address_ = listener->address();
    std::vector<Listener> listeners;
    listeners.push_back(*std::move(listener));
    auto server = HttpServer::Start(std::move(listeners),
                                    {.metrics =
                                         [this] {
                                           std::string text =
                                               absl::StrCat("deferd_scrapes ", ++scrapes_, "\n");
                                           while (hold_) std::this_thread::yield();
                                           return text;
                                         },
                                     .not_ready = [this] { return std::string(not_ready_); }});
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
  }

  // Sends `bytes` and reads until the server closes.
  std::string Ask(absl::string_view bytes) {
    SocketClient client(address_);
    client.Send(bytes);
    bool closed = false;
    std::string answer = client.ReadToEnd(&closed);
    EXPECT_TRUE(closed) << bytes.substr(0, 100);
    return answer;
  }
  std::string Get(absl::string_view path, absl::string_view more_headers = "") {
    return Ask(absl::StrCat("GET ", path, " HTTP/1.1\r\n", more_headers, "\r\n"));
  }

  std::string address_;
  std::atomic<int> scrapes_{0};
  std::atomic<bool> hold_{false};  // scrapes wait while set
  std::atomic<const char*> not_ready_{""};
  std::unique_ptr<HttpServer> server_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_EXPORTER_HTTP_FIXTURE_H_
