#include "limiter/port/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class ListenerTest : public testing::Test {
 protected:
  std::string Address(absl::string_view name = "l.sock") {
    return absl::StrCat("unix:", folder_.File(name));
  }
  static absl::StatusOr<Listener> Open(const std::string& address, ListenOptions options = {}) {
    return Listener::Open(address, options);
  }
  struct stat Stat(absl::string_view name = "l.sock") {
    struct stat file {};
    lstat(folder_.File(name).c_str(), &file);
    return file;
  }
  bool Exists(absl::string_view name = "l.sock") { return S_ISSOCK(Stat(name).st_mode); }

  // What a process leaves behind that dies without cleaning up.
  void LeaveStaleSocket() {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    const std::string path = folder_.File("l.sock");
    std::memcpy(where.sun_path, path.data(), path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
    close(fd);
    ASSERT_TRUE(Exists());
  }

  TempFolder folder_;
};

TEST_F(ListenerTest, UnixSocketTakesConnectionsAndIsRemovedAtTheEnd) {
  {
    absl::StatusOr<Listener> listener = Open(Address());
    ASSERT_THAT(listener, IsOk());
    EXPECT_EQ(listener->address(), Address());
    EXPECT_TRUE(SocketClient(Address()).connected());
    EXPECT_NE(fcntl(listener->fd(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(fcntl(listener->fd(), F_GETFL) & O_NONBLOCK, 0);
  }
  EXPECT_FALSE(Exists());
}

TEST_F(ListenerTest, MoveKeepsTheFileAndRemovesItOnce) {
  absl::StatusOr<Listener> first = Open(Address("a.sock"));
  absl::StatusOr<Listener> second = Open(Address("b.sock"));
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  std::optional<Listener> moved(*std::move(first));
  EXPECT_TRUE(SocketClient(Address("a.sock")).connected());
  *moved = *std::move(second);
  EXPECT_FALSE(Exists("a.sock"));
  EXPECT_TRUE(SocketClient(Address("b.sock")).connected());
  moved.reset();
  EXPECT_FALSE(Exists("b.sock"));
}

TEST_F(ListenerTest, FileOfAnotherOwnerIsNotRemoved) {
  absl::StatusOr<Listener> listener = Open(Address());
  ASSERT_THAT(listener, IsOk());
  unlink(folder_.File("l.sock").c_str());
  LeaveStaleSocket();
  listener = absl::CancelledError();
  EXPECT_TRUE(Exists());
}

TEST_F(ListenerTest, ModeIsTheConfiguredOneWhateverTheUmask) {
  const mode_t before = umask(0077);
  for (const mode_t mode : {0600, 0660, 0666}) {
    absl::StatusOr<Listener> listener = Open(Address(), {.mode = static_cast<int>(mode)});
    ASSERT_THAT(listener, IsOk());
    EXPECT_EQ(Stat().st_mode & 07777, mode);
  }
  umask(before);
}

TEST_F(ListenerTest, GroupIsTheConfiguredOne) {
  // Root may give the file to any group, others to one of their own.
  const gid_t gid = getuid() == 0 ? 1 : getgid();
  const struct group* entry = getgrgid(gid);
  ASSERT_NE(entry, nullptr);
  absl::StatusOr<Listener> listener = Open(Address(), {.group = entry->gr_name});
  ASSERT_THAT(listener, IsOk());
  EXPECT_EQ(Stat().st_gid, gid);
  EXPECT_EQ(Stat().st_mode & 07777, 0660u);
}

TEST_F(ListenerTest, UnknownGroupIsTheUsersMistakeAndLeavesNoFile) {
  EXPECT_THAT(Open(Address(), {.group = "no-such-group"}),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(StartsWith(Address() + ": "), HasSubstr("\"no-such-group\""))));
  EXPECT_FALSE(Exists());
}

TEST_F(ListenerTest, StaleSocketIsReplaced) {
  LeaveStaleSocket();
  absl::StatusOr<Listener> listener = Open(Address());
  ASSERT_THAT(listener, IsOk());
  EXPECT_TRUE(SocketClient(Address()).connected());
}

TEST_F(ListenerTest, LiveSocketIsRefusedAndGoesOn) {
  absl::StatusOr<Listener> first = Open(Address());
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(
      Open(Address()),
      StatusIs(StatusCode::kAlreadyExists,
               Address() + ": address in use; another deferd or another service listens there"));
  EXPECT_TRUE(SocketClient(Address()).connected());
}

TEST_F(ListenerTest, LiveSocketWithFullBacklogIsRefused) {
  absl::StatusOr<Listener> first = Open(Address(), {.backlog = 0});
  ASSERT_THAT(first, IsOk());
  SocketClient waiting(Address());
  EXPECT_THAT(Open(Address()), StatusIs(StatusCode::kAlreadyExists, StartsWith(Address())));
  EXPECT_TRUE(Exists());
}

TEST_F(ListenerTest, OrdinaryFileIsNotReplaced) {
  std::ofstream(folder_.File("l.sock")) << "precious";
  EXPECT_THAT(Open(Address()),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("not a socket exists there")));
  EXPECT_TRUE(S_ISREG(Stat().st_mode));
}

TEST_F(ListenerTest, MissingFolderSaysWhichOne) {
  EXPECT_THAT(
      Open(Address("none/l.sock")),
      StatusIs(StatusCode::kFailedPrecondition, AllOf(StartsWith(Address("none/l.sock") + ": "),
                                                      HasSubstr(folder_.File("none") + ";"))));
}

TEST_F(ListenerTest, TcpReportsItsRealPort) {
  for (const char* address : {"127.0.0.1:0", "localhost:0", "[::1]:0"}) {
    absl::StatusOr<Listener> listener = Open(address);
    ASSERT_THAT(listener, IsOk()) << address;
    EXPECT_THAT(listener->address(), Not(EndsWith(":0")));
    EXPECT_TRUE(SocketClient(listener->address()).connected()) << listener->address();
  }
}

TEST_F(ListenerTest, PortInUseIsRefused) {
  absl::StatusOr<Listener> first = Open("127.0.0.1:0");
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(Open(first->address()),
              StatusIs(StatusCode::kAlreadyExists,
                       first->address() +
                           ": address in use; another deferd or another service listens there"));
}

TEST_F(ListenerTest, BadAddressesAreTheUsersMistake) {
  const std::string bad[] = {
      "",
      "unix:",
      "nonsense",
      "127.0.0.1",
      "127.0.0.1:",
      "127.0.0.1:x",
      "127.0.0.1:-1",
      "127.0.0.1:65536",
      "127.0.0.1: 80",
      "0.0.0.0:80",
      "192.0.2.1:80",
      "[::]:80",
      "[2001:db8::1]:80",
      "[::ffff:127.0.0.1]:80",
      "::1:80",
      "mail.example.com:80",
      ":80",
      "unix:/" + std::string(107, 'x'),
      std::string("unix:/a\0b", 9),
  };
  for (const std::string& address : bad) {
    EXPECT_THAT(Listener::CheckAddress(address),
                StatusIs(StatusCode::kInvalidArgument, StartsWith(address + ": ")));
    EXPECT_THAT(Open(address), StatusIs(StatusCode::kInvalidArgument, StartsWith(address + ": ")));
  }
}

TEST_F(ListenerTest, CheckAddressOpensNothing) {
  EXPECT_THAT(Listener::CheckAddress(Address()), IsOk());
  EXPECT_THAT(Listener::CheckAddress("unix:/" + std::string(106, 'x')), IsOk());
  EXPECT_THAT(Listener::CheckAddress("127.8.9.10:65535"), IsOk());
  EXPECT_FALSE(Exists());
}

// systemd's part: descriptors from 3 on, and the environment that announces them. These run in a
// child process, whose exit code says what went well.
class SystemdTest : public ListenerTest {
 protected:
  static void Pass(const std::vector<int>& fds) {
    int number = 3;
    for (const int fd : fds) {
      if (fd != number) dup2(fd, number);
      ++number;
    }
    setenv("LISTEN_PID", absl::StrCat(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", absl::StrCat(fds.size()).c_str(), 1);
  }
  static ino_t Inode(int fd) {
    struct stat file {};
    fstat(fd, &file);
    return file.st_ino;
  }
  // Copies above 10, so that Pass does not overwrite what it still has to pass.
  static int High(const absl::StatusOr<Listener>& listener) {
    return fcntl(listener->fd(), F_DUPFD, 10);
  }

  void UsePassedSockets() {
    absl::StatusOr<Listener> unix_socket = Open(Address());
    absl::StatusOr<Listener> tcp_socket = Open("127.0.0.1:0");
    if (!unix_socket.ok() || !tcp_socket.ok()) _exit(2);
    const std::vector<int> fds = {High(unix_socket), High(tcp_socket)};
    Pass(fds);
    {
      absl::StatusOr<Listener> taken = Open(Address());
      if (!taken.ok() || Inode(taken->fd()) != Inode(fds[0])) _exit(3);
      if ((fcntl(taken->fd(), F_GETFD) & FD_CLOEXEC) == 0) _exit(4);
      if (Open(Address()).status().code() != StatusCode::kAlreadyExists) _exit(5);
    }
    if (!Exists()) _exit(6);  // the file is systemd's
    absl::StatusOr<Listener> taken = Open(tcp_socket->address());
    if (!taken.ok() || Inode(taken->fd()) != Inode(fds[1])) _exit(7);
    if (taken->address() != tcp_socket->address()) _exit(8);
    _exit(0);
  }

  void IgnoreOtherSockets() {
    absl::StatusOr<Listener> other = Open(Address("other.sock"));
    if (!other.ok()) _exit(2);
    Pass({High(other)});
    absl::StatusOr<Listener> own = Open(Address());
    if (!own.ok() || Inode(own->fd()) == Inode(other->fd()) || !Exists()) _exit(3);
    absl::StatusOr<Listener> tcp = Open("127.0.0.1:0");
    _exit(tcp.ok() ? 0 : 4);
  }
};

TEST_F(SystemdTest, PassedSocketIsUsedOnceAndItsFileStays) {
  EXPECT_EXIT(UsePassedSockets(), testing::ExitedWithCode(0), "");
}

TEST_F(SystemdTest, SocketOfAnotherAddressIsNotTaken) {
  EXPECT_EXIT(IgnoreOtherSockets(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace deferd
