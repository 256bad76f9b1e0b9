#include "limiter/port/socket_server.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/port/connection_shares.h"
#include "limiter/port/log.h"

namespace deferd {
namespace {

// Size of one read, and so the amount by which answers can exceed max_pending_output.
constexpr size_t kReadSize = 8 << 10;
// Limits of one turn: bytes read per connection, connections accepted per listener.
constexpr size_t kBytesPerTurn = 64 << 10;
constexpr int kAcceptsPerTurn = 64;
// Input read after a session has ended, before the connection is cut. Closing at once would reset
// the connection, and on TCP destroy the last answers.
constexpr size_t kMaxIgnored = 1 << 20;
constexpr timeval kStarvedPause = {.tv_sec = 0, .tv_usec = 100'000};

class EventServer;

ConnectionShares::Limits LimitsOf(const SocketServer::Options& options, bool is_unix) {
  ConnectionShares::Limits limits;
  limits.most = options.max_connections;
  if (is_unix) limits.reserved = std::min(options.reserved, options.max_connections - 1);
  if (is_unix) limits.per_peer = options.max_per_peer;
  if (options.evict_after != absl::InfiniteDuration()) {
    limits.evict_after = absl::ToChronoNanoseconds(options.evict_after);
  }
  return limits;
}

// A listener with its options and connections.
struct Door {
  Door(EventServer* owner, const SocketServer::Options& wanted, bool on_unix)
      : server(owner), options(wanted), is_unix(on_unix), shares(LimitsOf(wanted, on_unix)) {}

  EventServer* server;
  std::optional<Listener> listener;
  SocketServer::Options options;
  SocketServer::NewSession new_session;
  bool is_unix;
  ConnectionShares shares;
  const timeval* idle = nullptr;  // one of the base's common timeouts; null: never
  std::optional<std::chrono::steady_clock::time_point> warned;
  event accept_event;
  event resume_event;  // resumes accepting after a lack of descriptors
};

enum class Stage : uint8_t {
  kServing,  // bytes go to the session
  kOver,     // the session has ended: write answers, ignore input until the client's end
  kEnded,    // read nothing more, write answers
};

struct Connection : ConnectionShares::Slot {
  ~Connection() {
    if (watched != 0) event_del(&ready_event);
    close(fd);
  }
  size_t waiting() const { return pending.size() - sent; }

  Door* door = nullptr;
  int fd = -1;
  size_t index = 0;  // in the server's list
  Stage stage = Stage::kServing;
  bool shut = false;  // our sending side
  short watched = 0;
  size_t ignored = 0;
  std::unique_ptr<Session> session;
  std::string pending;  // answers; the first `sent` bytes are written
  size_t sent = 0;
  event ready_event;
};

class EventServer : public SocketServer {
 public:
  EventServer(event_base* base, int wake_fd) : base_(base), wake_fd_(wake_fd) {
    event_assign(&wake_event_, base_, wake_fd_, EV_READ | EV_PERSIST, OfServer, this);
  }
  ~EventServer() override;

  bool WatchWake() { return event_add(&wake_event_, nullptr) == 0; }
  absl::Status Listen(Listener listener, const Options& options, NewSession new_session) override;
  void Run() override {
    event_base_dispatch(base_);
    while (!connections_.empty()) Drop(connections_.back().get());
  }
  void Stop(absl::Duration drain) override;
  bool HasTurned() override;
  Stats stats() const override;

 private:
  // Callbacks of libevent.
  static void OfServer(int, short, void* server) { static_cast<EventServer*>(server)->OnWake(); }
  static void OfConnection(int, short what, void* arg) {
    auto* connection = static_cast<Connection*>(arg);
    connection->door->server->OnReady(connection, what);
  }
  template <void (EventServer::*kMethod)(Door*)>
  static void OfDoor(int, short, void* arg) {
    auto* door = static_cast<Door*>(arg);
    (door->server->*kMethod)(door);
  }

  void OnAccept(Door* door);
  void OnResume(Door* door) { event_add(&door->accept_event, nullptr); }
  void PauseAccepting(Door* door, int error);
  bool EvictIdlest();
  void Evict(ConnectionShares::Slot* slot);
  void Welcome(Door* door, int fd);
  void OnReady(Connection* connection, short what);
  void OnWake();
  void OnStop();
  void Wake();

  // These return false to close the connection.
  bool Receive(Connection* connection, bool to_the_last);
  bool Send(Connection* connection);
  bool Watch(Connection* connection);
  void Drop(Connection* connection);
  void WarnSeldom(Door* door, absl::string_view what);

  event_base* const base_;
  const int wake_fd_;
  event wake_event_;
  bool stopping_ = false;
  std::atomic<bool> stop_wanted_{false};
  std::atomic<int64_t> drain_nanos_{0};
  std::atomic<int64_t> turns_wanted_{0}, turns_made_{0};
  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<Connection>> connections_;
  char buffer_[kReadSize];
  std::atomic<int64_t> open_{0}, accepted_{0}, refused_{0}, evicted_{0}, idled_{0}, starved_{0};
};

EventServer::~EventServer() {
  connections_.clear();
  for (const auto& door : doors_) {
    event_del(&door->accept_event);
    event_del(&door->resume_event);
  }
  event_del(&wake_event_);
  event_base_free(base_);
  close(wake_fd_);
}

absl::Status EventServer::Listen(Listener listener, const Options& options,
                                 NewSession new_session) {
  const std::string address = listener.address();
  if (options.idle <= absl::ZeroDuration() || options.max_connections <= 0 ||
      options.max_pending_output == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(address, ": idle, max_connections and max_pending_output must be positive"));
  }
  auto door = std::make_unique<Door>(this, options, absl::StartsWith(address, "unix:"));
  door->new_session = std::move(new_session);
  if (options.idle != absl::InfiniteDuration()) {
    const timeval idle = absl::ToTimeval(options.idle);
    door->idle = event_base_init_common_timeout(base_, &idle);
    if (door->idle == nullptr) {
      return absl::UnavailableError(absl::StrCat(address, ": too many different idle limits"));
    }
  }
  event_assign(&door->accept_event, base_, listener.fd(), EV_READ | EV_PERSIST,
               OfDoor<&EventServer::OnAccept>, door.get());
  event_assign(&door->resume_event, base_, -1, 0, OfDoor<&EventServer::OnResume>, door.get());
  if (event_add(&door->accept_event, nullptr) != 0) {
    return absl::UnavailableError(absl::StrCat(address, ": cannot add it to the event loop"));
  }
  door->listener = std::move(listener);
  doors_.push_back(std::move(door));
  return absl::OkStatus();
}

void EventServer::Stop(absl::Duration drain) {
  drain_nanos_.store(absl::ToInt64Nanoseconds(drain), std::memory_order_relaxed);
  stop_wanted_.store(true, std::memory_order_release);
  Wake();
}

void EventServer::Wake() {
  const uint64_t one = 1;
  // Fails only if the counter is full; the loop has been notified then.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

bool EventServer::HasTurned() {
  const bool turned =
      turns_made_.load(std::memory_order_acquire) == turns_wanted_.load(std::memory_order_relaxed);
  if (turned) {
    turns_wanted_.fetch_add(1, std::memory_order_release);
    Wake();
  }
  return turned;
}

void EventServer::OnWake() {
  uint64_t woken;
  [[maybe_unused]] const ssize_t got = read(wake_fd_, &woken, sizeof(woken));
  turns_made_.store(turns_wanted_.load(std::memory_order_acquire), std::memory_order_release);
  if (stop_wanted_.load(std::memory_order_acquire)) OnStop();
}

SocketServer::Stats EventServer::stats() const {
  return {.open = open_.load(std::memory_order_relaxed),
          .accepted = accepted_.load(std::memory_order_relaxed),
          .refused = refused_.load(std::memory_order_relaxed),
          .evicted = evicted_.load(std::memory_order_relaxed),
          .idled = idled_.load(std::memory_order_relaxed),
          .starved = starved_.load(std::memory_order_relaxed)};
}

void EventServer::OnStop() {
  event_del(&wake_event_);
  stopping_ = true;
  for (const auto& door : doors_) {
    event_del(&door->accept_event);
    event_del(&door->resume_event);
    door->listener.reset();
  }
  for (size_t i = connections_.size(); i-- > 0;) {
    Connection* connection = connections_[i].get();
    if (!Receive(connection, /*to_the_last=*/true)) {
      Drop(connection);
      continue;
    }
    connection->stage = Stage::kEnded;
    if (!Watch(connection)) Drop(connection);
  }
  if (connections_.empty()) event_base_loopbreak(base_);
  const int64_t nanos = drain_nanos_.load(std::memory_order_relaxed);
  const timeval drain = absl::ToTimeval(absl::Nanoseconds(std::max<int64_t>(0, nanos)));
  event_base_loopexit(base_, &drain);
}

void EventServer::OnAccept(Door* door) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = accept4(door->listener->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Welcome(door, fd);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) {
      const int error = errno;
      if (EvictIdlest()) continue;
      PauseAccepting(door, error);
      return;
    }  // otherwise the client has disconnected
  }
}

// Pauses accepting: the listener stays readable, and the loop would spin.
void EventServer::PauseAccepting(Door* door, int error) {
  starved_.fetch_add(1, std::memory_order_relaxed);
  WarnSeldom(door, absl::StrCat("cannot accept: ", std::generic_category().message(error)));
  event_del(&door->accept_event);
  event_add(&door->resume_event, &kStarvedPause);
}

// Among the listeners, the one whose largest peer can spare a connection.
bool EventServer::EvictIdlest() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& door : doors_) {
    ConnectionShares::Slot* slot = door->shares.Idlest(now);
    if (slot == nullptr) continue;
    Evict(slot);
    return true;
  }
  return false;
}

void EventServer::Evict(ConnectionShares::Slot* slot) {
  evicted_.fetch_add(1, std::memory_order_relaxed);
  Drop(static_cast<Connection*>(slot));
}

void EventServer::Welcome(Door* door, int fd) {
  Peer peer;
  if (door->is_unix) {
    ucred credentials;
    socklen_t size = sizeof(credentials);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
      peer = {.uid = credentials.uid, .pid = credentials.pid};
    }
  }
  const auto now = std::chrono::steady_clock::now();
  const auto& trusted_uids = door->options.trusted;
  const bool trusted = peer.uid >= 0 && std::find(trusted_uids.begin(), trusted_uids.end(),
                                                  peer.uid) != trusted_uids.end();
  const ConnectionShares::Entry entry = door->shares.Admit(peer.uid, trusted, now);
  if (!entry.admitted) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    close(fd);
    WarnSeldom(door, absl::StrCat("more than ", door->options.max_connections,
                                  " connections at once, or too many from uid ", peer.uid,
                                  ": refusing new connections"));
    return;
  }
  if (entry.evict != nullptr) {
    WarnSeldom(door, absl::StrCat("too many connections at once (", door->shares.size(),
                                  "): closing idle ones to make room"));
    Evict(entry.evict);
  }
  auto owned = std::make_unique<Connection>();
  Connection* connection = owned.get();
  connection->door = door;
  connection->fd = fd;
  connection->index = connections_.size();
  connection->session = door->new_session(peer);
  connections_.push_back(std::move(owned));
  door->shares.Add(connection, peer.uid, trusted, now);
  open_.fetch_add(1, std::memory_order_relaxed);
  accepted_.fetch_add(1, std::memory_order_relaxed);
  // Usually the client's only question and half-close are already there, and no event is needed.
  if (connection->session == nullptr || !Receive(connection, /*to_the_last=*/true) ||
      !Watch(connection)) {
    Drop(connection);
  }
}

void EventServer::OnReady(Connection* connection, short what) {
  if ((what & (EV_READ | EV_WRITE)) == 0) {
    idled_.fetch_add(1, std::memory_order_relaxed);
    Drop(connection);
    return;
  }
  if (((what & EV_WRITE) != 0 && !Send(connection)) ||
      ((what & EV_READ) != 0 && !Receive(connection, /*to_the_last=*/false)) ||
      !Watch(connection)) {
    Drop(connection);
  }
}

// `to_the_last`: reads again after a short read, to see the client's half-close without waiting.
bool EventServer::Receive(Connection* connection, bool to_the_last) {
  const size_t max_waiting = connection->door->options.max_pending_output;
  size_t taken = 0;
  while (taken < kBytesPerTurn &&
         (connection->stage == Stage::kOver ||
          (connection->stage == Stage::kServing && connection->waiting() <= max_waiting))) {
    const ssize_t got = recv(connection->fd, buffer_, sizeof(buffer_), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    if (got == 0) {
      if (connection->stage == Stage::kServing) connection->session->OnEnd(&connection->pending);
      connection->stage = Stage::kEnded;
      return Send(connection);
    }
    const auto size = static_cast<size_t>(got);
    taken += size;
    if (connection->stage == Stage::kServing) {
      if (!connection->session->OnBytes({buffer_, size}, &connection->pending)) {
        connection->stage = Stage::kOver;
      }
      if (!Send(connection)) return false;
    } else {
      connection->ignored += size;
      if (connection->ignored > kMaxIgnored) return false;
    }
    if (size < sizeof(buffer_) && !to_the_last) break;
  }
  return true;
}

bool EventServer::Send(Connection* connection) {
  std::string& pending = connection->pending;
  while (connection->waiting() > 0) {
    const ssize_t put = send(connection->fd, pending.data() + connection->sent,
                             connection->waiting(), MSG_NOSIGNAL);
    if (put < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return false;
      // Moving the remaining bytes now and then bounds memory at a linear cost.
      if (connection->sent > pending.size() / 2) {
        pending.erase(0, connection->sent);
        connection->sent = 0;
      }
      return true;
    }
    connection->sent += static_cast<size_t>(put);
    connection->door->shares.Used(connection, std::chrono::steady_clock::now());
  }
  pending.clear();
  connection->sent = 0;
  // Frees the memory of a burst, keeps the size of an answer.
  if (pending.capacity() > kReadSize) pending.shrink_to_fit();
  return true;
}

// Waits for the next event of this connection; returns false if none is needed.
bool EventServer::Watch(Connection* connection) {
  short wanted = EV_PERSIST;
  if (connection->waiting() > 0) {
    wanted |= EV_WRITE;
  } else if (connection->stage == Stage::kEnded) {
    return false;
  } else if (connection->stage == Stage::kOver && !connection->shut) {
    if (shutdown(connection->fd, SHUT_WR) != 0) return false;
    connection->shut = true;
  }
  if (connection->stage == Stage::kOver ||
      (connection->stage == Stage::kServing &&
       connection->waiting() <= connection->door->options.max_pending_output)) {
    wanted |= EV_READ;
  }
  if (wanted == connection->watched) return true;
  if (connection->watched != 0) event_del(&connection->ready_event);
  connection->watched = 0;
  event_assign(&connection->ready_event, base_, connection->fd, wanted, OfConnection, connection);
  if (event_add(&connection->ready_event, connection->door->idle) != 0) return false;
  connection->watched = wanted;
  return true;
}

void EventServer::Drop(Connection* connection) {
  connection->door->shares.Remove(connection);
  open_.fetch_sub(1, std::memory_order_relaxed);
  const size_t index = connection->index;
  std::swap(connections_[index], connections_.back());
  connections_[index]->index = index;
  connections_.pop_back();
  if (stopping_ && connections_.empty()) event_base_loopbreak(base_);
}

void EventServer::WarnSeldom(Door* door, absl::string_view what) {
  const auto now = std::chrono::steady_clock::now();
  if (door->warned.has_value() && now - *door->warned < std::chrono::minutes(1)) return;
  door->warned = now;
  spdlog::warn("{}: {}", door->listener->address(), what);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketServer>> SocketServer::Create() {
  event_config* config = event_config_new();
  if (config == nullptr) return absl::UnavailableError("event loop: out of memory");
  // One thread per loop: no locks. Ignores environment variables (EVENT_NOEPOLL and others).
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  if (base == nullptr) return absl::UnavailableError("event loop: cannot be created");
  const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) {
    event_base_free(base);
    return absl::UnavailableError("event loop: no descriptor to wake it up");
  }
  auto server = std::make_unique<EventServer>(base, wake_fd);
  if (!server->WatchWake()) return absl::UnavailableError("event loop: cannot watch its wake-up");
  return server;
}

}  // namespace deferd
