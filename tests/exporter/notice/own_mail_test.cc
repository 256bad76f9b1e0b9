#include "exporter/notice/own_mail.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "exporter/notice/send.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

const absl::Time kBounceTime = absl::FromUnixSeconds(1'790'000'000);

TEST(OwnMailTest, AnArrivalIsTakenOnceAndOnlyAboutTheTimeOfSending) {
  OwnMail own;
  EXPECT_FALSE(own.TakeArrival("deferd.a@mx", kBounceTime));
  own.Expect("deferd.a@mx", kBounceTime);
  EXPECT_FALSE(own.TakeArrival("<deferd.b@mx>", kBounceTime));
  EXPECT_FALSE(own.TakeArrival("deferd.a@mx", kBounceTime - OwnMail::kBefore - absl::Seconds(1)));
  EXPECT_FALSE(own.TakeArrival("deferd.a@mx", kBounceTime + OwnMail::kAfter + absl::Seconds(1)));
  EXPECT_TRUE(own.TakeArrival("<deferd.a@mx>", kBounceTime + absl::Seconds(2)));
  // Whoever has read the notice knows its Message-ID by now.
  EXPECT_FALSE(own.TakeArrival("deferd.a@mx", kBounceTime + absl::Seconds(3)));
}

TEST(OwnMailTest, TheOldestAreForgotten) {
  OwnMail own;
  own.Expect("first@mx", kBounceTime);
  for (size_t i = 0; i < OwnMail::kMost; ++i) own.Expect(absl::StrCat(i, "@mx"), kBounceTime);
  EXPECT_FALSE(own.TakeArrival("first@mx", kBounceTime));
  EXPECT_TRUE(own.TakeArrival("0@mx", kBounceTime));
}

// A server that says nothing, and where its client comes from.
class SilentServer {
 public:
  SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in here = {};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&here), sizeof(here)), 0);
    EXPECT_EQ(listen(fd_, 5), 0);
    socklen_t size = sizeof(here);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&here), &size), 0);
    port_ = ntohs(here.sin_port);
  }
  ~SilentServer() { close(fd_); }
  int port() const { return port_; }
  int fd() const { return fd_; }

 private:
  int fd_;
  int port_ = 0;
};

int BindTo(int port, bool reuse) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (reuse) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in here = {};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  here.sin_port = htons(static_cast<uint16_t>(port));
  const int result = bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof(here));
  close(fd);
  return result;
}

TEST(OwnMailTest, TheConnectionsPortIsTheServersViewAndNobodyElses) {
  SilentServer server;
  std::string told_ip;
  int told_port = 0, seen_port = 0, stolen = 0, stolen_with_reuse = 0;
  std::thread client([&] {
    SmtpOptions options;
    options.host = absl::StrCat("127.0.0.1:", server.port());
    options.helo = "mx.example";
    options.timeout = absl::Seconds(30);
    options.on_local = [&](const std::string& ip, int port) {
      told_ip = ip;
      told_port = port;
    };
    EXPECT_FALSE(SendMail(options, "a@b.example", "Subject: x\r\n\r\nx\r\n").ok());
  });
  sockaddr_in peer = {};
  socklen_t size = sizeof(peer);
  const int fd = accept(server.fd(), reinterpret_cast<sockaddr*>(&peer), &size);
  ASSERT_GE(fd, 0);
  seen_port = ntohs(peer.sin_port);
  stolen = BindTo(seen_port, false);
  stolen_with_reuse = BindTo(seen_port, true);
  close(fd);  // and the client gives up
  client.join();
  EXPECT_EQ(told_ip, "127.0.0.1");
  EXPECT_EQ(told_port, seen_port);
  EXPECT_NE(stolen, 0);
  EXPECT_NE(stolen_with_reuse, 0);
}

TEST(OwnMailTest, AConnectionIsOwnWhileItIsOpen) {
  OwnMail own;
  own.Opened("127.0.0.1", 4000);
  EXPECT_TRUE(own.HasConnection("127.0.0.1", 4000));
  EXPECT_FALSE(own.HasConnection("127.0.0.1", 4001));
  EXPECT_FALSE(own.HasConnection("127.0.0.2", 4000));
  own.Closed("127.0.0.1", 4000);
  EXPECT_FALSE(own.HasConnection("127.0.0.1", 4000));
}

}  // namespace
}  // namespace deferd
