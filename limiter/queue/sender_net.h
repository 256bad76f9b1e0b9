// Postfix's net for mail that it asks nobody about: whose mail its sender table defers until deferd
// can hold it, and which deferred messages may be tried again.
//
// The table knows envelope senders alone: the domains that are blocked, and the own addresses
// (user@host) of system users whose mail is charged to one domain and no other, since sendmail(1)
// without -f writes those. To hold or give back a message stays with the holder, which knows who is
// charged. Postfix looks at its table every 10 s (trivial-rewrite(8)), and qmgr(8) remembers its
// last look-up for 30 s. So what it deferred for a sender that is out of the table is tried
// kNoticed later, and again after kAgain; its own queue run would come minutes later.
//
// Not thread-safe.

#ifndef DEFERD_LIMITER_QUEUE_SENDER_NET_H_
#define DEFERD_LIMITER_QUEUE_SENDER_NET_H_

#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/gate.h"
#include "limiter/cases/held_mail.h"
#include "limiter/localrpc/queued_mail.h"
#include "policy/charge.h"

namespace deferd {

struct NetOrders {
  std::map<std::string, std::string> put_off;  // domains, and why: for Postfix's log
  std::map<std::string, std::string> users;    // likewise, in small letters
  std::vector<std::string> retry;              // ids
};

class SenderNet {
 public:
  static constexpr absl::Duration kNoticed = absl::Seconds(20);
  static constexpr absl::Duration kAgain = absl::Seconds(25);  // twice as late each time
  static constexpr int kMaxTries = 4;                          // then Postfix's own time is good
  static constexpr size_t kMaxRetries = 100;                   // of one decision

  // The pointers must outlive it.
  SenderNet(const Gate* gate, const CaseTable* cases, const HeldMail* held)
      : gate_(gate), cases_(cases), held_(held) {}

  // `queue`: everything that is queued now, as far as it is known.
  NetOrders Decide(const std::vector<QueuedMail>& queue, const ChargeLists& lists, absl::Time now);
  // The table has what was ordered; until then nothing that it may still put off is tried.
  void Written(const NetOrders& orders, absl::Time now);

  // Something that was put off waits to be tried again.
  bool waiting() const { return waiting_; }

 private:
  void Block(const std::vector<QueuedMail>& queue, const ChargeLists& lists,
             NetOrders* orders) const;
  void BlockUsers(const ChargeLists& lists, NetOrders* orders) const;

  const Gate* const gate_;
  const CaseTable* const cases_;
  const HeldMail* const held_;
  struct Tries {
    int number = 0;
    absl::Time last;
  };
  NetOrders written_;  // what the table has
  // Domains, and users with an '@' behind them, while Postfix may not know.
  absl::flat_hash_map<std::string, absl::Time> taken_out_;
  absl::flat_hash_map<std::string, Tries> tried_;  // by id
  bool waiting_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_SENDER_NET_H_
