// Mail that this server gives to a filter of its own and gets back as another message.
//
// A filter that does not name the client (XFORWARD) hands back mail from anywhere as mail of its
// own host. Where that host is one whose envelope senders are believed ([charge] relay_hosts), mail
// of a stranger would be charged to whom it claims to be from. So each message that arrives is
// remembered as the first side of a hand-over while it is on its way, with who brought it, and each
// message that one of our own hosts brings is compared with those:
//   - the same Message-ID and the same envelope sender: it is a copy of that one, and whose that
//     one was (a login, a stranger) it is too;
//   - no Message-ID that is known, but the same envelope sender as a message on its way that no
//     copy came of: it may be its copy, under another Message-ID, or mail of this host's own. That
//     is unclear, and unclear mail is charged to nobody. It is clear again once the log tells of
//     another copy of that message ("queued as ID"), or that it went elsewhere. Where this server
//     was not seen to give mail to that host, there is no filter, and nothing is unclear;
//   - else it is mail of that host, such as of a web form, and charged as such. So is the mail of a
//     mailing list, which has an envelope sender of its own.
//
// Nobody gets out of paying by choosing a Message-ID or a sender. The first side must have come to
// this server, be on its way at that time (or have gone to a host of relay_hosts less than kLate
// ago, without a copy so far), and have copies left: as many as it has recipients, at least
// kLeastCopies, and copies of copies are of the same number. Of a copy of a stranger's mail, no
// more recipients than four times those of the first side (kLeastRecipients to kMostRecipients) are
// believed to be of that mail, but for those that an alias of this server named; all others are the
// host's.
//
// Bounded: beyond `capacity` the oldest is forgotten and counted. Keeps hashes in place of texts.
// Not thread-safe.

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

// Keys with values, of which the oldest is thrown away beyond a number. By a key's first insertion.
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
  // True if another one was thrown away for it.
  bool Insert(absl::string_view key, Value value, size_t capacity) {
    Erase(key);
    const bool full = entries_.size() >= capacity;
    if (full) Erase(by_age_.begin()->second);
    entries_[std::string(key)] = {next_, std::move(value)};
    by_age_[next_++] = std::string(key);
    return full;
  }
  size_t size() const { return entries_.size(); }
  // Calls visit(key, value), the oldest first.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const auto& [age, key] : by_age_) visit(key, entries_.find(key)->second.second);
  }

 private:
  absl::flat_hash_map<std::string, std::pair<int64_t, Value>> entries_;
  absl::btree_map<int64_t, std::string> by_age_;
  int64_t next_ = 0;
};

// This host by any of its addresses, as a client is charged (Subject, host:127.0.0.1).
bool IsThisHost(absl::string_view client_ip);

class HandOvers {
 public:
  static constexpr absl::Duration kLate = absl::Minutes(2);
  static constexpr int64_t kLeastCopies = 8;  // some filters split a message
  static constexpr int64_t kLeastRecipients = 10;
  static constexpr int64_t kMostRecipients = 4'000;  // each is looked up among the others

  explicit HandOvers(size_t capacity = 20'000) : capacity_(capacity == 0 ? 1 : capacity) {}

  // The Message-ID of a message whose sender is still to come: kept for Arrive.
  void Name(absl::string_view id, absl::string_view message_id);

  // A message is in the queue, and `*identity` is who brought it. With `own`, that is one of our
  // own hosts, without a login: then `*identity` becomes whoever sent the first side if that is
  // known, and the result is true. `message_id` empty: that of Name, if any. `recipients`: how many
  // the MTA says it has, 0 if it does not.
  bool Arrive(absl::string_view id, absl::string_view message_id, int64_t recipients, bool own,
              absl::Time now, Identity* identity);

  // More is known of who sent it.
  void Identify(absl::string_view id, const Identity& identity);

  // What became of a recipient: a host of ours took it, whose senders are `believed` (relay_hosts),
  // or it is deferred, and not by one of our own.
  void GivenTo(absl::string_view id, absl::string_view host_ip, bool believed);
  void DeferredElsewhere(absl::string_view id) { Forget(id); }

  // A message that one of our own hosts brought may be what somebody else's became, or not after
  // all.
  void SetUnclear(absl::string_view id, absl::string_view host);
  void SetClear(absl::string_view id);

  // The log itself says that `copy` is what became of `first`.
  void Proven(absl::string_view first, absl::string_view copy);

  // Messages were given to that host: what it brings may be anybody's.
  bool IsFilter(absl::string_view host_ip) const;

  // The message has left the queue.
  void End(absl::string_view id, absl::Time now);

  // `*identity`, which is that of message `id`, becomes the one that this recipient's attempt is
  // charged to. `original`: the alias that named it. The other one: of the message as a whole.
  void Apply(absl::string_view id, absl::string_view recipient, absl::string_view original,
             Identity* identity);
  void Apply(absl::string_view id, Identity* identity) const;

  // The message is in the queue under a new id.
  void Rename(absl::string_view id, absl::string_view new_id);

  size_t size() const { return firsts_.size() + copies_.size() + names_.size(); }
  int64_t evicted() const { return evicted_; }

  // One line of ASCII; empty if nothing is remembered.
  std::string SaveState() const;
  // DataLoss if `state` is none of those; then nothing is remembered.
  absl::Status Restore(absl::string_view state);

 private:
  using Key = std::pair<uint64_t, int64_t>;  // a hash, and the first side's number

  struct First {
    std::string id;
    uint64_t message_id = 0;  // hash; 0: it has none
    uint64_t sender = 0;      // hash
    Identity who;             // but for the sender
    bool own = false;         // one of our own hosts brought it, and it is nobody else's
    bool unclear = false;
    bool given = false;     // to a host of ours
    bool believed = false;  // whose senders are believed: a copy that comes late matters
    bool claimed = false;   // a copy of it is known
    int64_t copies_left = 0;
    int64_t recipients = 0;             // that are believed of each copy
    std::vector<std::string> doubtful;  // ids of what may be its copies
    absl::Time ended = absl::InfiniteFuture();
  };

  // A message that is believed to be the first side's for some of its recipients alone.
  struct Copy {
    bool unclear = false;
    std::string host;  // that brought it
    int64_t recipients = 0;
    std::vector<uint64_t> used;  // hashes of those that no alias names
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
  absl::btree_map<int64_t, First> firsts_;  // by number, the oldest first
  absl::flat_hash_map<std::string, int64_t> number_of_;
  absl::btree_set<Key> by_pair_;    // those that have copies left
  absl::btree_set<Key> by_sender_;  // and of these, those that no copy is known of
  std::deque<int64_t> late_;        // ended, and a copy may come yet; the oldest first
  AgedMap<Copy> copies_;
  AgedMap<uint64_t> names_;           // hashes of Message-IDs
  std::vector<std::string> filters_;  // hosts that messages were given to
  int64_t next_ = 0;
  int64_t evicted_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_HAND_OVERS_H_
