// Finds the original of messages that this server gives to a local filter and gets back as new
// messages.
//
// A filter that does not pass on the client (XFORWARD) returns mail of any origin as mail of its
// own host. If that host's envelope senders are trusted ([charge] relay_hosts), a stranger's mail
// would be charged to its forged sender. HandOvers therefore remembers each arriving message (the
// original) with its identity while it is in the queue, and compares every message from one of our
// own hosts:
//   - same Message-ID and same envelope sender:
//     a copy of that original, with the original's identity
//     (a login, a stranger);
//   - unknown Message-ID, but the sender of an original that has no copy yet: either a copy under
//     another Message-ID or mail of the host itself. The identity is unclear, and unclear mail is
//     charged to nobody, until the log shows another copy of the original ("queued as ID") or that
//     the original went elsewhere. A host that was never given mail is not a filter, and its mail
//     is never unclear;
//   - otherwise: mail of that host, for example from a web form,
//     and charged to it. The same holds for mailing lists,
//     which use an envelope sender of their own.
//
// Choosing a Message-ID or sender does not let a sender avoid the charge. The original must have
// arrived here, must still be in the queue (or have gone to a host of relay_hosts less than kLate
// ago, without a copy so far), and must have copies left: as many as it has recipients, at least
// kLeastCopies; copies of copies use up the same number. A copy of a stranger's mail is accepted
// for at most four times the original's recipients (kLeastRecipients to kMostRecipients), apart
// from recipients that an alias of this server added; all further recipients are charged to the
// host.
//
// Bounded: above `capacity` the oldest entry is forgotten and counted. Stores hashes instead of
// texts. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_HAND_OVERS_H_
#define DEFERD_LIMITER_INTAKE_HAND_OVERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/identity.h"

namespace deferd {

// A map with a maximum size that evicts the oldest key, by first insertion.
template <typename Value>
class AgedMap {
 public:
  Value* Find(absl::string_view key) {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second.second;
  }
  const Value* Find(absl::string_view key) const { return const_cast<AgedMap*>(this)->Find(key); }
  void Erase(absl::string_view key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    by_age_.erase(found->second.first);
    entries_.erase(found);
  }
  // True if another entry was evicted.
  bool Insert(absl::string_view key, Value value, size_t capacity) {
    Erase(key);
    const bool full = entries_.size() >= capacity;
    if (full) Erase(by_age_.begin()->second);
    entries_[std::string(key)] = {next_, std::move(value)};
    by_age_[next_++] = std::string(key);
    return full;
  }
  size_t size() const { return entries_.size(); }
  // Calls visit(key, value), oldest first.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [age, key] : by_age_) visit(key, entries_.find(key)->second.second);
  }

 private:
  absl::flat_hash_map<std::string, std::pair<int64_t, Value>> entries_;
  absl::btree_map<int64_t, std::string> by_age_;
  int64_t next_ = 0;
};

// Whether the client is this host, at any of its addresses (charged as host:127.0.0.1).
bool IsThisHost(absl::string_view client_ip);

class HandOvers {
 public:
  static constexpr absl::Duration kLate = absl::Minutes(2);
  static constexpr int64_t kLeastCopies = 8;  // some filters split a message
  static constexpr int64_t kLeastRecipients = 10;
  static constexpr int64_t kMostRecipients = 4'000;  // each is looked up among the others

  explicit HandOvers(size_t capacity = 20'000) : capacity_(capacity == 0 ? 1 : capacity) {}

  // Stores the Message-ID of a message whose sender is logged later, for Arrive.
  void Name(absl::string_view id, absl::string_view message_id);

  // A message arrived; `*identity` is who brought it. `own`: one of our own hosts brought it,
  // without a login. `*identity` then becomes the original's identity if known, and the result is
  // true. Empty `message_id`: the one stored by Name, if any. `recipients`: as logged by the MTA;
  // 0: not logged.
  bool Arrive(absl::string_view id, absl::string_view message_id, int64_t recipients, bool own,
              absl::Time now, Identity* identity);

  // More is known about the sender of a message.
  void Identify(absl::string_view id, const Identity& identity);

  // Result for a recipient: a host of ours took the message (`believed`: one of relay_hosts), or
  // the message is deferred by another host.
  void GivenTo(absl::string_view id, absl::string_view host_ip, bool believed);
  void DeferredElsewhere(absl::string_view id) { Forget(id); }

  // A message from one of our own hosts may be a copy of somebody else's, or turned out not to be.
  void SetUnclear(absl::string_view id, absl::string_view host);
  void SetClear(absl::string_view id);

  // The log shows that `copy` is a copy of `first`.
  void Proven(absl::string_view first, absl::string_view copy);

  // Whether messages were given to that host, so that its mail may come from anybody.
  bool IsFilter(absl::string_view host_ip) const;

  // The message has left the queue.
  void End(absl::string_view id, absl::Time now);

  // Replaces `*identity`, that of message `id`, by the identity that pays for this recipient's
  // attempt. `original`: the alias that added the recipient. The second form is for the whole
  // message.
  void Apply(absl::string_view id, absl::string_view recipient, absl::string_view original,
             Identity* identity);
  void Apply(absl::string_view id, Identity* identity) const;
  // Whether it is a copy of a message that arrived before, as far as is known. A host of ours that
  // sends mail of its own under one Message-ID has one copy of each: what else it sends is new.
  bool IsCopy(absl::string_view id) const;

  // The message has a new queue id.
  void Rename(absl::string_view id, absl::string_view new_id);

  size_t size() const { return firsts_.size() + copies_.size() + names_.size(); }
  int64_t evicted() const { return evicted_; }

  // One line of ASCII; empty if nothing is remembered.
  std::string SaveState() const;
  // DataLoss if `state` is malformed; nothing is remembered then.
  absl::Status Restore(absl::string_view state);

 private:
  using Key = std::pair<uint64_t, int64_t>;  // hash, number of the original

  struct First {
    std::string id;
    uint64_t message_id = 0;  // hash; 0: none
    uint64_t sender = 0;      // hash
    Identity who;             // without the sender
    bool own = false;         // from one of our own hosts, and not a copy of anybody's mail
    bool unclear = false;
    bool given = false;     // handed to a host of ours
    bool believed = false;  // to a trusted host: a late copy matters
    bool claimed = false;   // a copy is known
    // It is one itself, and another was taken for one. Not stored: asked for at an arrival.
    bool copy = false;
    bool copied = false;
    int64_t copies_left = 0;
    int64_t recipients = 0;             // accepted for each copy
    std::vector<std::string> doubtful;  // ids of possible copies
    absl::Time ended = absl::InfiniteFuture();
  };

  // A message that is charged to the original's sender for some recipients only.
  struct Copy {
    bool unclear = false;
    std::string host;  // that brought it
    int64_t recipients = 0;
    std::vector<uint64_t> used;  // hashes of recipients that no alias added
  };

  void AddFilter(absl::string_view host_ip);
  uint64_t PairOf(const First& first) const;
  static void Share(First* first, First* copy);
  bool Inherit(int64_t number, First* as_first, Identity* identity);
  void Doubt(int64_t number, First* as_first, const Identity& identity);
  void Remember(First first);
  void Forget(absl::string_view id);
  void Erase(int64_t number);
  void SetClaimed(int64_t number);
  void Release(First* first);
  void DropLate(absl::Time now);
  First* Find(absl::string_view id);
  void AddCopy(absl::string_view id, Copy copy);
  bool ReadState(absl::string_view state);

  const size_t capacity_;
  absl::btree_map<int64_t, First> firsts_;  // by number, oldest first
  absl::flat_hash_map<std::string, int64_t> number_of_;
  absl::btree_set<Key> by_pair_;    // originals with copies left
  absl::btree_set<Key> by_sender_;  // of these, originals without a known copy
  std::deque<int64_t> late_;        // left the queue, a copy may still come; oldest first
  AgedMap<Copy> copies_;
  AgedMap<uint64_t> names_;           // hashes of Message-IDs
  std::vector<std::string> filters_;  // hosts that were given messages
  int64_t next_ = 0;
  int64_t evicted_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_HAND_OVERS_H_
