// Troubles that are nobody's of our senders: answers about our own IP or server, and destinations
// that fail for many subjects at once.
//
// An answer about an IP or a server opens an incident by itself. At a destination (the organisation
// of the server that answered) one opens when kMany different subjects have met answers that are
// about the place and not about a sender or a mailbox, since the last delivery there. It ends with
// kRecovered deliveries in a row, or when nothing more of it has been heard for a window.
//
// Until a destination delivers again, what its answers have contributed to windows is remembered
// here, so that the limiter can take it out when an incident opens. A place that delivers is
// forgotten: there are as many entries as places that fail now. Confined to the limiter's lock;
// time is that of the log.

#ifndef DEFERD_LIMITER_INCIDENTS_H_
#define DEFERD_LIMITER_INCIDENTS_H_

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
#include "limiter/window.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/classify.h"
#include "policy/reply_class.h"
#include "policy/subject.h"

namespace deferd {

struct Incident {
  ReplyScope scope = ReplyScope::kDestination;  // kIp, kServer: ours; kDestination: theirs
  std::string where;                            // the organisation that answered: "example.com"
  ReplyClass reply_class = ReplyClass::kUnclassified;  // of the newest answer
  std::string reply;                                   // the newest answer, cut
  absl::Time since;
  absl::Time last;
  absl::Time ended = absl::InfiniteFuture();
  int64_t attempts = 0;
  absl::btree_set<std::string> subjects;  // whom it hit, at most kMaxSubjects

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
};

// A place that fails now.
struct Place {
  std::vector<std::pair<Subject, absl::Time>> failing;  // kMany at most, with their last failure
  absl::Time last = absl::InfinitePast();               // the newest failure
  int recovered = 0;                                    // deliveries in a row since
  std::optional<Incident> incident;                     // the open one
  std::deque<PlaceContribution> contributions;          // oldest first, at most kMaxContributions
};

class Incidents {
 public:
  static constexpr size_t kMany = 5;
  static constexpr int kRecovered = 3;
  static constexpr size_t kMaxSubjects = 1'000;
  static constexpr size_t kMaxContributions = 1'000;  // of one place; the oldest go first
  static constexpr size_t kMaxPlaces = 10'000;        // those that failed longest ago go first
  static constexpr size_t kMaxEnded = 100;            // remembered for people

  // `tell_changes`: somebody stores what changes.
  explicit Incidents(bool tell_changes) : tell_changes_(tell_changes) {}

  // What an answer is about, and which organisation gave it. Ordered, for a stable account.
  using Key = std::pair<ReplyScope, std::string>;

  // Whether such an answer is about the place that gave it, or about us, rather than about the
  // sender, the message or one mailbox.
  static bool Concerns(const Classification& answer);

  bool empty() const { return places_.empty(); }
  bool OpenAt(const Key& key) const;

  // A failure of `subject` with an answer that Concerns. The incident, if it opened now; those who
  // failed more than `window` before do not make one.
  std::optional<Incident> SeeFailure(const Key& key, const Classification& answer,
                                     absl::string_view reply, const Subject& subject,
                                     absl::Time time, absl::Duration window);
  // A delivery at `where`. The incident, if it ended now.
  std::optional<Incident> SeeDelivery(const std::string& where, absl::Time time);

  // The place's contributions, while no incident is open there.
  void Add(const Key& key, PlaceContribution contribution);
  void Remove(const Key& key, const MessageKey& message, const std::string& recipient);
  std::deque<PlaceContribution> TakeContributions(const Key& key);

  // Ends and forgets what was not heard of for `window` before `now`; the incidents that ended.
  std::vector<Incident> Expire(absl::Time now, absl::Duration window);
  // When the next one may end so; until then Expire need not be called.
  absl::Time next_expiry(absl::Duration window) const { return oldest_last_ + window; }

  // Open ones, then those that ended, newest first.
  std::vector<Incident> All() const;

  // For a store: what has changed since the last call, null where it is gone.
  std::vector<std::pair<Key, const Place*>> TakeChanged();
  void SetChanged(const Key& key) {
    if (tell_changes_) changed_.insert(key);
  }
  void Restore(const Key& key, Place place);

 private:
  Place& PlaceOf(const Key& key);
  void ForgetOldest();
  Incident End(Place* place, absl::Time time);

  const bool tell_changes_;
  absl::btree_map<Key, Place> places_;
  std::deque<Incident> ended_;  // newest first
  absl::btree_set<Key> changed_;
  absl::Time oldest_last_ = absl::InfiniteFuture();  // at most the least `last`
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INCIDENTS_H_
