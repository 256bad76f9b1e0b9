// The ledger: the local record of all attempts, for people to search ("track delivery").
//
// Values alone; LocalStore writes them with everything else of a batch, and searches them through a
// connection of its own. Rows are never changed, only dropped, a segment of them at a time.

#ifndef DEFERD_LIMITER_STORE_LEDGER_H_
#define DEFERD_LIMITER_STORE_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "policy/attempt.h"
#include "policy/left_out.h"

namespace deferd {

struct LedgerRow {
  int64_t row = 0;   // LedgerRowKey; greater is newer (by time, then by order read)
  absl::Time time;   // kept in the key alone: to the millisecond, 1900 to 2099
  std::string node;  // made by the store
  std::string message_id;
  absl::Time arrival = absl::InfinitePast();  // to the millisecond
  std::string subject;   // who is charged, widest (a domain as a rule), as Subject::ToString; or ""
  std::string narrower;  // the login or script inside it, likewise
  std::string sender;
  std::string login;
  std::string user;          // local user or script
  std::string mail_subject;  // the message's own Subject: line
  std::string recipient;     // or its keyed hash
  std::string original;      // the address before aliases and forwards, likewise; "" if the same
  std::string router;
  std::string transport;
  std::string host;
  std::string host_ip;
  Outcome outcome = Outcome::kDelivered;
  LeftOut left_out = LeftOut::kCounts;
  std::string reply_class;  // "" where it is not known
  std::string reply;

  friend bool operator==(const LedgerRow&, const LedgerRow&) = default;
};

// The key of the `number`th row that was ever written, with its time: by time, then by the order
// read. 42 bits of Unix milliseconds (until 2109), 21 of the number; a store that finds it taken
// takes the next one that is free.
int64_t LedgerRowKey(absl::Time time, int64_t number);

// What to look for: every filter that is set must match. Texts are compared whole, without case.
struct LedgerQuery {
  std::string subject;  // charged, wide or narrow, as Subject::ToString
  std::string domain;   // charged, or else the sender's
  std::string about;    // a subject: what either of these finds of it
  std::string sender;
  std::string recipient;  // the final address, or the one before aliases
  std::string message_id;
  std::string host;  // name or IP address
  // These are in no index: a search by them alone looks at every row of its time.
  std::string recipient_domain;   // of either address
  std::string address_part;       // of the sender's or a recipient's address
  std::string code;               // that the reply holds: "550", "5.7.1" or how one begins, "5.7"
  std::string reply_class;        // "mailbox_full"
  std::string mail_subject;       // a part of it
  std::vector<Outcome> outcomes;  // any of these; empty: all
  absl::Time since = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();  // exclusive
  size_t limit = 50;
  int64_t before = std::numeric_limits<int64_t>::max();  // LedgerPage::next of the page before
};

struct LedgerPage {
  std::vector<LedgerRow> rows;  // newest first
  int64_t next = 0;             // for `before` of the next page; 0: there is none
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_LEDGER_H_
