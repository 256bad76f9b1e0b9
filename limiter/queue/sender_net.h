// Decides which senders Postfix's sender table defers until deferd can hold their mail, and which
// deferred messages may be tried again. The table covers mail about which Postfix sends no policy
// request.
//
// The table matches envelope senders only: blocked domains, and the addresses (user@host) of system
// users whose mail is charged to exactly one domain, because sendmail(1) without -f uses that
// address as the sender. Holding and returning messages stays with Holder, which knows who is
// charged.
//
// Postfix checks the table every 10 s (trivial-rewrite(8)), and qmgr(8) caches its last lookup for
// 30 s. Messages that Postfix deferred for a sender that has left the table are therefore tried
// kNoticed later, and again after kAgain; Postfix's own queue run would come minutes later.
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
  std::map<std::string, std::string> domains;  // domains, each with the text for Postfix's log
  std::map<std::string, std::string> users;    // likewise, in lower case
  std::vector<std::string> retry;              // message ids
};

class SenderNet {
 public:
  static constexpr absl::Duration kNoticed = absl::Seconds(20);
  static constexpr absl::Duration kAgain = absl::Seconds(25);  // doubled after each try
  static constexpr int kMaxTries = 4;         // afterwards Postfix's own schedule is good enough
  static constexpr size_t kMaxRetries = 100;  // per decision

  // The pointers must outlive the SenderNet.
  SenderNet(const Gate* gate, const CaseTable* cases, const HeldMail* held)
      : gate_(gate), cases_(cases), held_(held) {}

  // `queue`: all messages that are queued now, as far as known.
  NetOrders Decide(const std::vector<QueuedMail>& queue, const ChargeLists& lists, absl::Time now);
  // The helper has written `orders`; messages that the table may still defer are not tried before.
  void Written(const NetOrders& orders, absl::Time now);

  // A message that the table deferred waits to be tried again.
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
  NetOrders written_;  // contents of the table
  // When domains (and users, with a trailing '@') left the table, while Postfix may not know yet.
  absl::flat_hash_map<std::string, absl::Time> taken_out_;
  absl::flat_hash_map<std::string, Tries> tried_;  // by id
  bool waiting_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_SENDER_NET_H_
