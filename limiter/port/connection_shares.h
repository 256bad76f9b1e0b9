// Decides which connections of a listener are accepted, and which are closed when there are too
// many.
//
// A peer is a user of this machine (uid). Trusted peers (root, the mail server) have a reserve that
// nobody else can fill; every other peer has a maximum share. At a limit, the connection that has
// been useless for the longest time is closed: one of the new connection's own peer if its share is
// full, otherwise one of the peer with the most connections. A trusted peer's connection is never
// closed. Only answers count as use, and bytes of an answer that the client reads; sending half a
// question does not.
//
// Values only, no sockets; time is an argument. Not thread-safe.

#ifndef DEFERD_LIMITER_PORT_CONNECTION_SHARES_H_
#define DEFERD_LIMITER_PORT_CONNECTION_SHARES_H_

#include <chrono>
#include <cstdint>
#include <list>
#include <map>

namespace deferd {

class ConnectionShares {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  struct Limits {
    int most = 4096;
    int reserved = 0;  // of these, for trusted peers only
    int per_peer = 0;  // maximum per untrusted peer; 0: all that is not reserved
    // Minimum time without use before a connection may be closed. max(): never, new ones are
    // refused.
    std::chrono::steady_clock::duration evict_after = std::chrono::steady_clock::duration::max();
  };

  // One connection. Must not move while it is registered.
  class Slot {
   private:
    friend class ConnectionShares;
    int64_t peer_ = -1;
    bool trusted_ = false;
    TimePoint used_;
    std::list<Slot*>::iterator at_;
  };

  explicit ConnectionShares(const Limits& limits) : limits_(limits) {}

  struct Entry {
    bool admitted = false;
    Slot* evict = nullptr;  // close this one first
  };
  Entry Admit(int64_t peer, bool trusted, TimePoint now) const;

  void Add(Slot* slot, int64_t peer, bool trusted, TimePoint now);
  void Used(Slot* slot, TimePoint now);
  void Remove(Slot* slot);

  // The connection to close when the process runs out of descriptors; null: none may be closed.
  Slot* Idlest(TimePoint now) const;

  int size() const { return trusted_ + others_; }

 private:
  using Peer = std::list<Slot*>;  // by last use, oldest first

  Slot* FrontOf(const Peer& peer, TimePoint now) const;

  const Limits limits_;
  std::map<int64_t, Peer> peers_;  // untrusted peers
  Peer trusted_slots_;
  int trusted_ = 0;
  int others_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_CONNECTION_SHARES_H_
