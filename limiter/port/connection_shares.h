// Who may have a connection of one listener, and who has to go when there are too many.
//
// A peer is a user of this machine, as the kernel names it. Trusted ones (root, the mail server)
// have a reserve that nobody else can fill; of all others each has a share at most. When a limit is
// reached, the connection goes that has been of no use for the longest time: one of the newcomer's
// own if its share is full, else one of the peer that holds the most. A trusted peer's never goes.
// Use is an answer, or bytes of an answer that the peer takes; dribbling half a question is none.
//
// Values alone, no sockets; time is an argument. Not thread-safe.

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
    int reserved = 0;  // of them, for trusted peers alone
    int per_peer = 0;  // of a peer that is not trusted; 0: all that is not reserved
    // Only what was of no use for this long goes; max(): nothing does, newcomers are refused.
    std::chrono::steady_clock::duration evict_after = std::chrono::steady_clock::duration::max();
  };

  // One connection. Stays where it is while it is among the shares.
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
    bool welcome = false;
    Slot* evict = nullptr;  // this one goes first
  };
  Entry Ask(int64_t peer, bool trusted, TimePoint now) const;

  void Add(Slot* slot, int64_t peer, bool trusted, TimePoint now);
  void Used(Slot* slot, TimePoint now);
  void Remove(Slot* slot);

  // The one that goes when the process has no descriptor left; null: none may.
  Slot* Idlest(TimePoint now) const;

  int size() const { return trusted_ + others_; }

 private:
  using Peer = std::list<Slot*>;  // by last use, the longest ago first

  Slot* FrontOf(const Peer& peer, TimePoint now) const;

  const Limits limits_;
  std::map<int64_t, Peer> peers_;  // those that are not trusted
  Peer trusted_slots_;
  int trusted_ = 0;
  int others_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_CONNECTION_SHARES_H_
