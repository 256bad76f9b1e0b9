// The encrypted connection to Redis, and everything that can be wrong with it.

#include "limiter/store/redis_tls.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/port/clock.h"
#include "limiter/store/redis_connection.h"
#include "limiter/store/redis_store.h"
#include "tests/limiter/store/certificates.h"
#include "tests/limiter/store/redis_server.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(20);

std::unique_ptr<RedisServer> Started(const Authority& authority, const Authority::Files& files,
                                     std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"--tls-cert-file",    files.cert,
                                        "--tls-key-file",     files.key,
                                        "--tls-ca-cert-file", authority.ca_file()};
  if (std::find(more.begin(), more.end(), "--tls-auth-clients") == more.end()) {
    arguments.insert(arguments.end(), {"--tls-auth-clients", "no"});
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  auto server = RedisServer::StartOnPort(RedisServer::Port::kTls, arguments);
  EXPECT_THAT(server.status(), IsOk());
  return server.ok() ? *std::move(server) : nullptr;
}

RedisAddress AddressOf(const RedisEndpoint& server, const Authority& authority) {
  RedisAddress address;
  address.server = server;
  address.tls = RedisTls{.ca_file = authority.ca_file()};
  return address;
}

absl::Status Opened(const RedisAddress& address, absl::Duration deadline = kPatience) {
  RedisConnection connection;
  return connection.Open(address, deadline);
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

absl::Status Pinged(RedisConnection* connection) {
  return connection->Run(RedisCommand{"PING"}).status();
}

TEST(RedisTlsTest, TheRightAuthorityIsEnough) {
  Authority authority;
  auto server = Started(authority, authority.Sign());
  RedisAddress address = AddressOf(server->endpoint(), authority);
  EXPECT_THAT(Opened(address), IsOk());
  address.server.host = "localhost";
  EXPECT_THAT(Opened(address), IsOk());
  EXPECT_EQ(address.ToString(), absl::StrCat("rediss://localhost:", address.server.port));
  // More than one record of TLS, in both directions.
  RedisConnection connection;
  ASSERT_THAT(connection.Open(address, kPatience), IsOk());
  const std::string much(3 << 20, 'x');
  ASSERT_THAT(connection.Run({"SET", "much", much}).status(), IsOk());
  EXPECT_EQ(connection.Run({"GET", "much"})->text, much);
}

TEST(RedisTlsTest, ACertificateThatIsWrongIsRefusedAndNamed) {
  Authority authority;
  Authority other("somebody else's authority");
  const struct {
    const char* name;
    Authority::Wish wish;
    bool wrong_authority;
    bool no_authority;
    std::vector<std::string> said;
  } kCases[] = {
      {"wrong authority",
       {},
       true,
       false,
       {"deferd test authority", other.ca_file(), "tls_ca_file"}},
      {"the system's authorities", {}, false, true, {"not an authority in the system's list"}},
      {"expired",
       {.from = -absl::Hours(48), .until = -absl::Hours(24)},
       false,
       false,
       {"expired on 20", "renew"}},
      {"not yet valid",
       {.from = absl::Hours(24), .until = absl::Hours(48)},
       false,
       false,
       {"is not valid before 20", "clock"}},
      {"another name",
       {.names = "DNS:redis.example,DNS:other.example,IP:192.0.2.7"},
       false,
       false,
       {"is for redis.example, other.example, 192.0.2.7, not for 127.0.0.1", "tls_server_name"}},
      {"no name", {.names = ""}, false, false, {"not for 127.0.0.1"}},
  };
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.name);
    auto server = Started(authority, authority.Sign(one.wish));
    RedisAddress address = AddressOf(server->endpoint(), one.wrong_authority ? other : authority);
    if (one.no_authority) address.tls->ca_file = "";
    absl::Status refused = Opened(address);
    EXPECT_EQ(TroubleOf(refused), SharedTrouble::kTls) << refused;
    for (const std::string& said : one.said) EXPECT_THAT(Text(refused), HasSubstr(said));
  }
}

TEST(RedisTlsTest, TheNameInTheCertificateMayBeAnother) {
  Authority authority;
  auto server = Started(authority, authority.Sign({.names = "DNS:redis.example"}));
  RedisAddress address = AddressOf(server->endpoint(), authority);
  EXPECT_EQ(TroubleOf(Opened(address)), SharedTrouble::kTls);
  address.tls->server_name = "redis.example";
  EXPECT_THAT(Opened(address), IsOk());
  address.tls->server_name = "192.0.2.7";
  EXPECT_THAT(Text(Opened(address)), HasSubstr("not for 192.0.2.7"));
}

TEST(RedisTlsTest, AClientCertificateThatIsWantedMustBeGiven) {
  Authority authority;
  Authority other("somebody else's authority");
  for (const char* version : {"TLSv1.2", "TLSv1.3"}) {
    SCOPED_TRACE(version);
    auto server = Started(authority, authority.Sign(),
                          {"--tls-auth-clients", "yes", "--tls-protocols", version});
    RedisAddress address = AddressOf(server->endpoint(), authority);
    absl::Status refused = Opened(address);
    EXPECT_EQ(TroubleOf(refused), SharedTrouble::kTls) << refused;
    EXPECT_THAT(Text(refused), AllOf(HasSubstr("client certificate"), HasSubstr("tls_cert_file")));

    auto with = [&](const Authority::Files& files) {
      address.tls->cert_file = files.cert;
      address.tls->key_file = files.key;
      return Opened(address);
    };
    EXPECT_THAT(with(authority.Sign()), IsOk());
    refused = with(other.Sign());
    EXPECT_EQ(TroubleOf(refused), SharedTrouble::kTls) << refused;
    EXPECT_THAT(Text(refused), HasSubstr("does not know the authority"));
    refused = with(authority.Sign({.from = -absl::Hours(48), .until = -absl::Hours(24)}));
    EXPECT_EQ(TroubleOf(refused), SharedTrouble::kTls) << refused;
    EXPECT_THAT(Text(refused), HasSubstr("expired"));
  }
}

TEST(RedisTlsTest, FilesThatAreRenewedCountAtTheNextConnection) {
  Authority authority;
  Authority other;
  auto server = Started(authority, authority.Sign());
  RedisAddress address = AddressOf(server->endpoint(), other);
  EXPECT_EQ(TroubleOf(Opened(address)), SharedTrouble::kTls);
  std::filesystem::copy_file(authority.ca_file(), other.ca_file(),
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(Opened(address), IsOk());
  std::filesystem::remove(other.ca_file());
  absl::Status missing = Opened(address);
  EXPECT_EQ(TroubleOf(missing), SharedTrouble::kTls);
  EXPECT_THAT(Text(missing), AllOf(HasSubstr(other.ca_file()), HasSubstr("No such file")));
}

TEST(RedisTlsTest, FilesThatCannotBeUsedAreNamed) {
  Authority authority;
  const Authority::Files one = authority.Sign();
  const Authority::Files two = authority.Sign();
  EXPECT_THAT(CheckTlsCa(""), IsOk());
  EXPECT_THAT(CheckTlsCa(authority.ca_file()), IsOk());
  EXPECT_THAT(Text(CheckTlsCa(one.key)), HasSubstr(one.key));
  EXPECT_THAT(CheckTlsCertificate(one.cert, one.key), IsOk());
  EXPECT_THAT(
      Text(CheckTlsCertificate(one.cert, two.key)),
      HasSubstr(absl::StrCat(two.key, ": is not the key of the certificate in ", one.cert)));
  EXPECT_THAT(Text(CheckTlsCertificate(one.key, one.key)), HasSubstr("no certificate"));
  EXPECT_THAT(Text(CheckTlsCertificate(one.cert, one.cert)), HasSubstr("no private key"));
  EXPECT_THAT(Text(CheckTlsCertificate(one.cert, "")), HasSubstr("no private key"));
  EXPECT_THAT(Text(CheckTlsCertificate("/nonexistent", "")), HasSubstr("No such file"));
}

TEST(RedisTlsTest, APortWithoutTlsIsSaid) {
  Authority authority;
  auto server = RedisServer::StartOnPort(RedisServer::Port::kPlain);
  ASSERT_THAT(server.status(), IsOk());
  absl::Status refused =
      Opened(AddressOf((*server)->endpoint(), authority), absl::Milliseconds(250));
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kTls) << refused;
  EXPECT_THAT(Text(refused), HasSubstr("does not speak TLS"));
}

TEST(RedisTlsTest, APortWithTlsIsNotTakenForAPlainOne) {
  Authority authority;
  auto server = Started(authority, authority.Sign());
  RedisAddress address = AddressOf(server->endpoint(), authority);
  address.tls.reset();
  absl::Status refused = Opened(address);
  EXPECT_THAT(TroubleOf(refused), ::testing::AnyOf(SharedTrouble::kTls, SharedTrouble::kGone))
      << refused;
}

TEST(RedisTlsTest, AServerThatWentAndCameBackIsFoundAgain) {
  Authority authority;
  auto server = Started(authority, authority.Sign());
  const RedisAddress address = AddressOf(server->endpoint(), authority);
  RedisConnection connection;
  ASSERT_THAT(connection.Open(address, kPatience), IsOk());
  server->Kill();
  EXPECT_EQ(TroubleOf(Pinged(&connection)), SharedTrouble::kGone);
  EXPECT_FALSE(connection.open());
  EXPECT_EQ(TroubleOf(connection.Open(address, kPatience)), SharedTrouble::kGone);
  ASSERT_THAT(server->Restart(), IsOk());
  EXPECT_THAT(connection.Open(address, kPatience), IsOk());
  EXPECT_THAT(Pinged(&connection), IsOk());
  server->Signal(SIGSTOP);
  ASSERT_THAT(TroubleOf(Opened(address, absl::Milliseconds(100))), SharedTrouble::kSlow);
  server->Signal(SIGCONT);
}

TEST(RedisTlsTest, PasswordsAndForbiddenCommandsAreSaidAndNeverShown) {
  Authority authority;
  auto server = Started(authority, authority.Sign(),
                        {"--user", "deferd", "on", ">right", "~*", "+role", "+ping"});
  RedisAddress address = AddressOf(server->endpoint(), authority);
  address.user = "deferd";
  address.password = "wrong-secret";
  absl::Status refused = Opened(address);
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kPassword) << refused;
  EXPECT_THAT(Text(refused), Not(HasSubstr("secret")));
  EXPECT_THAT(address.ToString(), Not(HasSubstr("secret")));

  // From a file, as it is at that moment.
  const std::string file = authority.ca_file() + ".password";
  address.password.clear();
  address.password_file = file;
  refused = Opened(address);
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kPassword);
  EXPECT_THAT(Text(refused), AllOf(HasSubstr(file), HasSubstr("No such file")));
  std::ofstream(file) << "wrong-secret\n";
  refused = Opened(address);
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kPassword);
  EXPECT_THAT(Text(refused), Not(HasSubstr("secret")));
  std::ofstream(file) << "right\n";
  RedisConnection connection;
  ASSERT_THAT(connection.Open(address, kPatience), IsOk());
  EXPECT_THAT(Pinged(&connection), IsOk());
  refused = connection.Run({"GET", "a"}).status();
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kPassword);
  EXPECT_THAT(Text(refused), HasSubstr("get"));
  EXPECT_TRUE(connection.open());
}

// A server of the test's own: what it does with a connection is a function.
class OddServer {
 public:
  explicit OddServer(std::function<void(int fd)> serve) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in where = {};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(where);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&where), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
    endpoint_ = {"127.0.0.1", ntohs(where.sin_port)};
    thread_ = std::thread([this, serve = std::move(serve)] {
      signal(SIGPIPE, SIG_IGN);
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      serve(fd);
      close(fd);
    });
  }
  ~OddServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  const RedisEndpoint& endpoint() const { return endpoint_; }

 private:
  int listener_ = -1;
  RedisEndpoint endpoint_;
  std::thread thread_;
};

// Until the client closes.
void Drain(int fd) {
  char buffer[4096];
  while (read(fd, buffer, sizeof(buffer)) > 0) continue;
}

// The server's side of one encrypted connection.
class ServerSide {
 public:
  ServerSide(int fd, const Authority::Files& files, int version) {
    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_options(context_, SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    SSL_CTX_set_security_level(context_, 0);  // so that an old version can be offered
    SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_, version);
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context_, files.cert.c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_, files.key.c_str(), SSL_FILETYPE_PEM), 1);
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, fd);
    accepted_ = SSL_accept(ssl_) == 1;
  }
  ~ServerSide() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  bool accepted() const { return accepted_; }
  SSL* ssl() { return ssl_; }

  // Reads one command and answers it.
  bool Answer(absl::string_view text) {
    char buffer[4096];
    return SSL_read(ssl_, buffer, sizeof(buffer)) > 0 && Say(text);
  }
  bool Say(absl::string_view text) {
    return SSL_write(ssl_, text.data(), static_cast<int>(text.size())) > 0;
  }

 private:
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool accepted_ = false;
};

constexpr char kMaster[] = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
constexpr char kPong[] = "+PONG\r\n";

TEST(RedisTlsTest, AHandshakeThatHangsEndsAtTheDeadline) {
  Authority authority;
  const char kBegun[] = "\x16\x03\x03\x40\x00\x02";  // a record that never ends
  for (const absl::string_view said : {absl::string_view(), absl::string_view(kBegun, 6)}) {
    OddServer server([&](int fd) {
      EXPECT_EQ(write(fd, said.data(), said.size()), static_cast<ssize_t>(said.size()));
      Drain(fd);
    });
    const absl::Time before = SystemClock().Now();
    absl::Status late = Opened(AddressOf(server.endpoint(), authority), absl::Milliseconds(100));
    EXPECT_EQ(TroubleOf(late), SharedTrouble::kSlow) << late;
    EXPECT_THAT(Text(late), HasSubstr("TLS handshake"));
    EXPECT_LT(SystemClock().Now() - before, absl::Seconds(15));
  }
}

TEST(RedisTlsTest, AConnectionThatEndsInTheHandshakeIsSaid) {
  Authority authority;
  OddServer server([](int) {});
  absl::Status gone = Opened(AddressOf(server.endpoint(), authority));
  EXPECT_EQ(TroubleOf(gone), SharedTrouble::kGone) << gone;
  EXPECT_THAT(Text(gone), HasSubstr("in the TLS handshake"));
}

TEST(RedisTlsTest, AnOldVersionIsRefused) {
  Authority authority;
  const Authority::Files files = authority.Sign();
  OddServer server([&](int fd) {
    ServerSide side(fd, files, TLS1_1_VERSION);
    EXPECT_FALSE(side.accepted());
  });
  absl::Status refused = Opened(AddressOf(server.endpoint(), authority));
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kTls) << refused;
  EXPECT_THAT(Text(refused), HasSubstr("1.2 or newer"));
}

// With the alert of TLS that says so, and without.
TEST(RedisTlsTest, AHalfClosedConnectionIsGone) {
  Authority authority;
  const Authority::Files files = authority.Sign();
  for (const bool said : {true, false}) {
    SCOPED_TRACE(said ? "said" : "not said");
    OddServer server([&](int fd) {
      ServerSide side(fd, files, TLS1_3_VERSION);
      EXPECT_TRUE(side.Answer(kMaster));
      char buffer[4096];
      EXPECT_GT(SSL_read(side.ssl(), buffer, sizeof(buffer)), 0);
      if (said) SSL_shutdown(side.ssl());
      shutdown(fd, SHUT_WR);
      Drain(fd);
    });
    RedisConnection connection;
    ASSERT_THAT(connection.Open(AddressOf(server.endpoint(), authority), kPatience), IsOk());
    absl::Status gone = Pinged(&connection);
    EXPECT_EQ(TroubleOf(gone), SharedTrouble::kGone) << gone;
    EXPECT_FALSE(connection.open());
  }
}

TEST(RedisTlsTest, NewKeysInMidConnectionAreNoTrouble) {
  Authority authority;
  const Authority::Files files = authority.Sign();
  OddServer server([&](int fd) {
    ServerSide side(fd, files, TLS1_3_VERSION);
    EXPECT_TRUE(side.Answer(kMaster));
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(SSL_key_update(side.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_TRUE(side.Answer(kPong));
    }
    Drain(fd);
  });
  RedisConnection connection;
  ASSERT_THAT(connection.Open(AddressOf(server.endpoint(), authority), kPatience), IsOk());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Pinged(&connection), IsOk());
}

TEST(RedisTlsTest, RenegotiationIsRefusedAndHangsNothing) {
  Authority authority;
  const Authority::Files files = authority.Sign();
  OddServer server([&](int fd) {
    ServerSide side(fd, files, TLS1_2_VERSION);
    EXPECT_TRUE(side.Answer(kMaster));
    EXPECT_EQ(SSL_renegotiate(side.ssl()), 1);
    EXPECT_EQ(SSL_do_handshake(side.ssl()), 1);  // sends the request alone
    side.Answer(kPong);
    Drain(fd);
  });
  RedisConnection connection;
  ASSERT_THAT(connection.Open(AddressOf(server.endpoint(), authority), kPatience), IsOk());
  EXPECT_NE(TroubleOf(Pinged(&connection)), SharedTrouble::kSlow);
}

TEST(RedisTlsTest, SentinelsAreAskedOverTlsToo) {
  Authority authority;
  const Authority::Files files = authority.Sign();
  auto master = Started(authority, files);
  const std::string port = absl::StrCat(master->endpoint().port);
  OddServer sentinel([&](int fd) {
    ServerSide side(fd, files, TLS1_3_VERSION);
    EXPECT_TRUE(
        side.Answer(absl::StrCat("*2\r\n$9\r\n127.0.0.1\r\n$", port.size(), "\r\n", port, "\r\n")));
    Drain(fd);
  });
  RedisAddress address = AddressOf({}, authority);
  address.sentinels = {sentinel.endpoint()};
  address.master = "mails";
  RedisConnection connection;
  ASSERT_THAT(connection.Open(address, kPatience), IsOk());
  EXPECT_EQ(connection.server(), master->endpoint());
  EXPECT_EQ(address.ToString(),
            absl::StrCat("rediss+sentinel://127.0.0.1:", sentinel.endpoint().port, "/mails"));
}

TEST(RedisTlsTest, WhatIsWrongWithASentinelIsSaid) {
  Authority authority;
  Authority other;
  const Authority::Files files = authority.Sign();
  OddServer sentinel([&](int fd) {
    ServerSide side(fd, files, TLS1_3_VERSION);
    EXPECT_FALSE(side.accepted());
  });
  RedisAddress address = AddressOf({}, other);
  address.sentinels = {sentinel.endpoint()};
  address.master = "mails";
  absl::Status refused = Opened(address);
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kNoMaster) << refused;
  EXPECT_THAT(Text(refused), HasSubstr("tls_ca_file"));
}

}  // namespace
}  // namespace deferd
