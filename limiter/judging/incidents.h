// Delivery problems that no sender caused: replies about our own IP address or server, destinations
// that fail for many subjects at once, and DNS look-ups that do.
//
// A reply about an IP or a server opens an incident by itself. At a place (the organisation of
// the server that answered, or the DNS resolver) one opens when kMany witnesses have failed there
// since the last delivery. It ends with kRecovered deliveries in a row, or after a window without
// another failure.
//
// A witness is a sender that is hosted here and had a message delivered lately. Each witness has
// another domain and another proven identity (a login, a system user, a client host), so a spammer
// who chooses envelope senders, or has stolen one password, cannot create witnesses. Replies about
// the place (kDestination) are kept apart from refusals of a sender or a message (kSenderDomain:
// policy, content, authentication ...). For refusals, kKnown witnesses must have had deliveries at
// this very place lately, and only the refusals of such senders are attributed to the place.
//
// Until a place delivers again, its contributions to windows are remembered here, so that the
// limiter can remove them when an incident opens. A place that delivers is forgotten: there are as
// many entries as places that fail now. All fields are guarded by the limiter's lock; time is that
// of the log.

#ifndef DEFERD_LIMITER_JUDGING_INCIDENTS_H_
#define DEFERD_LIMITER_JUDGING_INCIDENTS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/counting/window.h"
#include "limiter/judging/delivery_memory.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/reply/classify.h"
#include "policy/reply/reply_class.h"
#include "policy/subject.h"

namespace deferd {

struct Incident {
  // kIp, kServer: ours; kDestination: theirs; kSenderDomain: theirs, that refuse everybody.
  ReplyScope scope = ReplyScope::kDestination;
  std::string where;  // the organisation that answered: "example.com"; or kResolver
  ReplyClass reply_class = ReplyClass::kUnclassified;  // of the newest answer
  std::string reply;                                   // the newest answer, cut
  absl::Time since;
  absl::Time last;
  absl::Time ended = absl::InfiniteFuture();
  int64_t attempts = 0;
  absl::btree_set<std::string> subjects;  // whom it hit, at most kMaxSubjects
  std::vector<std::string> witnesses;     // who made it one: "example.com by login bob@example.com"
  // When its contributions were removed from the windows, and the date of the oldest of them;
  // InfinitePast if none was.
  absl::Time taken_out_at = absl::InfinitePast();
  absl::Time taken_out_from = absl::InfinitePast();

  static constexpr absl::string_view kResolver = "DNS look-ups";

  bool open() const { return ended == absl::InfiniteFuture(); }
};

// A contribution of a bad attempt at a place that has not delivered since.
struct PlaceContribution {
  MessageKey message;
  std::string recipient;
  ChargedSubjects charged;
  absl::Time dated;
  CountedOutcome outcome = CountedOutcome::kDeferred;
  int64_t cases_before = 0;  // cases that had been opened when it came: they do not rest on it
  std::optional<ReplyClass> reply_class;  // what its answer meant
};

// A sender whose failure is evidence against the place.
struct Witness {
  Subject subject;       // the domain, or who is part of none
  std::string identity;  // what is proven: "login bob@example.com", "user shop", "host 192.0.2.7"
  absl::Time time;       // of the newest failure
  bool known = false;    // delivered to at the place lately
};

// A place that fails now.
struct Place {
  std::vector<Witness> failing;            // kMaxWitnesses at most; no domain or identity twice
  absl::Time last = absl::InfinitePast();  // the newest failure
  int recovered = 0;                       // deliveries in a row since
  std::optional<Incident> incident;        // the open one
  std::deque<PlaceContribution> contributions;  // oldest first, at most kMaxContributions
};

class Incidents {
 public:
  static constexpr size_t kMany = 5;
  static constexpr size_t kKnown = 3;
  static constexpr int kRecovered = 3;
  static constexpr size_t kMaxWitnesses = 20;
  static constexpr size_t kMaxSubjects = 1'000;
  static constexpr size_t kMaxContributions = 1'000;  // of one place; the oldest go first
  static constexpr size_t kMaxPlaces = 10'000;        // those that failed longest ago go first
  static constexpr size_t kMaxEnded = 100;            // remembered for people
  static constexpr size_t kMaxChanged = 500'000;      // over twice as many as there can be

  // `track_changes`: somebody stores what changes.
  explicit Incidents(bool track_changes) : track_changes_(track_changes) {}

  // The scope of a reply, and the organisation that sent it. Ordered, so that pages are stable.
  using Key = std::pair<ReplyScope, std::string>;
  static Key Resolver() { return {ReplyScope::kServer, std::string(Incident::kResolver)}; }

  // The scope of the incident that such replies can open: kIp and kServer are ours, kDestination is
  // the place that replied, kSenderDomain its refusals. Nullopt if the reply is about one mailbox,
  // or about the sender alone.
  static std::optional<ReplyScope> About(const Classification& answer);

  // Whether a bad attempt that counted when it came was taken out when the incident opened.
  // `organisation`: of the server that answered (OrganisationOf); empty: none did.
  static bool TookOut(const Incident& incident, const Classification& answer,
                      absl::string_view organisation, absl::Time time);

  bool OpenAt(const Key& key) const;
  // Whether the subject's failures there are attributed to the place, if there is an incident.
  bool Hits(const Key& key, const Subject& subject, absl::Time time) const;

  // A failure of `subject`, whose witness it is, if one. The incident, if it opened now; those who
  // failed more than `window` before do not make one.
  std::optional<Incident> SeeFailure(const Key& key, const Classification& answer,
                                     absl::string_view reply, const Subject& subject,
                                     std::optional<Witness> witness, absl::Time time,
                                     absl::Duration window);
  // A delivery of `subject` at `where` for a recipient's domain. The incidents that ended now.
  std::vector<Incident> SeeDelivery(const std::string& where, const Subject& subject,
                                    absl::string_view domain, absl::Time time);

  // Whether there was one within the last day: of the subject anywhere, of the subject there, of
  // anybody for that domain.
  bool Delivered(const Subject& subject, absl::Time now) const;
  bool DeliveredAt(absl::string_view where, const Subject& subject, absl::Time now) const;
  bool DeliveredFor(absl::string_view domain, absl::Time now) const;

  // The place's contributions, while no incident is open there.
  void Add(const Key& key, PlaceContribution contribution);
  // `where` is a key's; whatever its scope.
  void Remove(const std::string& where, const MessageKey& message, const std::string& recipient);
  // Hands out the contributions to be removed from the windows, and notes `now` in the open
  // incident.
  std::deque<PlaceContribution> TakeContributions(const Key& key, absl::Time now);

  // Ends and forgets the places without a failure in the last `window`; the incidents that ended.
  std::vector<Incident> Expire(absl::Time now, absl::Duration window);
  // Ends and forgets places with failures after `t`, stamped by a clock that ran ahead.
  std::vector<Incident> ForgetAfter(absl::Time t);
  // When the next one may end so; until then Expire need not be called.
  absl::Time next_expiry(absl::Duration window) const { return oldest_last_ + window; }

  // Open ones, then those that ended, newest first.
  std::vector<Incident> All() const;
  bool empty() const { return places_.empty(); }
  // Places, and names of what is delivered, that were forgotten for want of room.
  int64_t evicted() const { return evicted_; }

  // For a store: the keys changed since the last call. A remembered delivery has scope kRecipient
  // and is a place with only `last`. Stored returns nullopt for a forgotten key.
  std::vector<Key> TakeChanged();
  std::optional<Place> Stored(const Key& key) const;
  void SetChanged(const Key& key) {
    if (track_changes_) changed_.insert(key);
  }
  void Restore(const Key& key, Place place);

 private:
  Place& PlaceOf(const Key& key);
  void ForgetOldest();
  Incident End(Place* place, absl::Time time);
  void Remember(absl::string_view name, absl::Time time);

  const bool track_changes_;
  absl::btree_map<Key, Place> places_;
  std::deque<Incident> ended_;  // newest first
  absl::btree_set<Key> changed_;
  int64_t evicted_ = 0;
  absl::Time oldest_last_ = absl::InfiniteFuture();  // at most the least `last`
  DeliveryMemory deliveries_;
  std::string name_;  // of what is remembered now; kept for its memory
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_INCIDENTS_H_
