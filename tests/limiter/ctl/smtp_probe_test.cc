// The probe of a mail server, against one that answers as told.

#include "limiter/ctl/smtp_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Accepts one connection, and answers each line with the next text; then closes.
class OneSession {
 public:
  explicit OneSession(std::vector<std::string> answers) : answers_(std::move(answers)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~OneSession() { close(listener_); }

  int port() const { return port_; }
  const std::vector<std::string>& Lines() {
    thread_.join();
    return lines_;
  }

 private:
  void Serve() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    std::string buffer;
    for (const std::string& answer : answers_) {
      if (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
      char bytes[512];
      size_t line_end = std::string::npos;
      while ((line_end = buffer.find("\r\n")) == std::string::npos) {
        const ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n <= 0) break;
        buffer.append(bytes, static_cast<size_t>(n));
      }
      if (line_end == std::string::npos) break;
      lines_.push_back(buffer.substr(0, line_end));
      buffer.erase(0, line_end + 2);
    }
    close(fd);
  }

  const std::vector<std::string> answers_;
  int listener_ = -1;
  int port_ = 0;
  std::vector<std::string> lines_;
  std::thread thread_;
};

TEST(SmtpProbe, GoesAsFarAsDataAndSendsNothing) {
  OneSession server({"220-mx\r\n220 hello\r\n", "250-mx\r\n250-PIPELINING\r\n250 HELP\r\n",
                     "250 OK\r\n", "250 OK\r\n", "354 go on\r\n"});
  EXPECT_THAT(ProbeSmtp(server.port(), "postmaster", absl::Seconds(20)), IsOk());
  EXPECT_THAT(server.Lines(),
              ElementsAre("EHLO localhost", "MAIL FROM:<>", "RCPT TO:<postmaster>", "DATA"));
}

TEST(SmtpProbe, ARefusalIsQuoted) {
  OneSession server({"220 hello\r\n", "250 mx\r\n", "250 OK\r\n", "451 4.3.5 configuration\r\n"});
  EXPECT_THAT(ProbeSmtp(server.port(), "postmaster", absl::Seconds(20)),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("answers RCPT TO:<postmaster>: 451 4.3.5 configuration")));
  EXPECT_THAT(server.Lines(),
              ElementsAre("EHLO localhost", "MAIL FROM:<>", "RCPT TO:<postmaster>"));
}

TEST(SmtpProbe, AServerThatHangsUpIsNotWell) {
  OneSession server({"220 hello\r\n"});
  EXPECT_THAT(ProbeSmtp(server.port(), "postmaster", absl::Seconds(20)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("the connection was closed")));
  EXPECT_THAT(server.Lines(), ElementsAre("EHLO localhost"));
}

}  // namespace
}  // namespace deferd
