// What people must hear, until they have heard it.
//
// A notice is added under the committer's lock with the change that it tells of, and collected into
// the same transaction: after a crash both are there or neither. It becomes visible to those who
// deliver once it is stored, so that a log that is read again after a crash makes no second one.
// Each sink that must hear it has a delivery: pending with attempts and the next try, delivered, or
// dead (refused for good, or expired) until a person retries it. How deliveries go is stored with
// the next commit.
//
// The order Collect, Saved belongs to one thread at a time; otherwise safe from any thread.
// Bounded: finished notices are forgotten after kKeep or when there are too many.

#ifndef DEFERD_LIMITER_STORE_OUTBOX_H_
#define DEFERD_LIMITER_STORE_OUTBOX_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"
#include "limiter/store/local_store.h"
#include "policy/notice_kind.h"

namespace deferd {

enum class DeliveryState : uint8_t { kPending, kDelivered, kDead };
inline constexpr int kDeliveryStates = 3;
absl::string_view DeliveryStateName(DeliveryState state);  // "pending", "delivered", "dead"

// How one sink hears of a notice.
struct NoticeDelivery {
  DeliveryState state = DeliveryState::kPending;
  int attempts = 0;
  absl::Time next_try = absl::InfinitePast();
  absl::Time done_at = absl::InfiniteFuture();  // delivered, or given up
  std::string error;                            // of the last attempt
  std::string left;  // of several recipients, those that have not heard it; empty: all

  friend bool operator==(const NoticeDelivery&, const NoticeDelivery&) = default;
};

struct Notice {
  std::string id;  // stable: the case's id and what happened to it
  NoticeKind kind = NoticeKind::kTest;
  absl::Time time;
  std::string subject;  // as Subject::ToString gives it; empty: this mail server
  std::string domain;   // whose owner hears of it; empty: nobody's
  std::string thread;   // notices of one trouble share it
  std::string facts;    // JSON: the numbers and texts that the message is made of
  bool routed = false;  // it is known which sinks must hear it
  // Known to deferd and, once it is delivered, to who hears it: deferd knows its own mail by it
  // (exporter/notice/own_mail.h). Outbox::Add makes one up.
  std::string secret;
  std::map<std::string, NoticeDelivery> deliveries;  // by sink

  friend bool operator==(const Notice&, const Notice&) = default;
};

// As Outbox::Add makes it up: 128 random bits.
std::string NewNoticeSecret();

std::string NoticeText(const Notice& notice);
absl::StatusOr<Notice> ParseNotice(absl::string_view id, absl::string_view text);

class Outbox {
 public:
  static constexpr size_t kMost = 50'000;                    // further ones are lost, and counted
  static constexpr size_t kMostFinished = 5'000;             // the oldest are forgotten
  static constexpr absl::Duration kKeep = absl::Hours(168);  // of finished ones

  // One whose id is known already is ignored.
  void Add(Notice notice) ABSL_LOCKS_EXCLUDED(mutex_);

  // One of what cannot wait for a commit, such as that commits fail: it is due at once.
  void AddUnstored(Notice notice) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Has(const std::string& id) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Adds what has changed to `batch`, then whether it was stored. What was not is collected again.
  void Collect(std::vector<StoredText>* batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void Saved(bool saved) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Restore(const StoredText& stored) ABSL_LOCKS_EXCLUDED(mutex_);

  // Called, with no lock held, once notices are stored that are not routed yet.
  void OnStored(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mutex_);

  // Gives each stored notice that is not routed yet to the sinks that `sinks_of` names; with none
  // it is forgotten.
  void Route(absl::FunctionRef<std::vector<std::string>(const Notice&)> sinks_of)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The notices that the sink may be sent at `now`, oldest first, at most `most`.
  std::vector<Notice> Due(const std::string& sink, absl::Time now, size_t most) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // When the next pending one of the sink is due; InfiniteFuture: none is pending.
  absl::Time NextDue(const std::string& sink) const ABSL_LOCKS_EXCLUDED(mutex_);
  void SetDelivery(const std::string& id, const std::string& sink, const NoticeDelivery& delivery,
                   absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes dead deliveries pending again: of the notice `id`, or of all if it is empty. How many.
  int Retry(absl::string_view id, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Forgets what `names` says yes to, whoever has not heard it yet. How many; `only_count`: forgets
  // nothing.
  int64_t ForgetNamed(absl::FunctionRef<bool(const Notice&)> names, bool only_count)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // All, oldest first.
  std::vector<Notice> List() const ABSL_LOCKS_EXCLUDED(mutex_);

  struct Stats {
    int64_t pending = 0;  // deliveries, as are the next two
    int64_t dead = 0;
    int64_t delivered = 0;                       // since the start, as are the next two
    int64_t failed = 0;                          // attempts, of which some are tried again
    int64_t lost = 0;                            // notices, because there were too many
    absl::Time oldest = absl::InfiniteFuture();  // of those pending
  };
  Stats stats() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    Notice notice;
    bool stored = false;
  };

  static bool IsFinished(const Notice& notice);
  void Changed(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetPending(const std::string& sink, const Notice& notice, const NoticeDelivery* before,
                  const NoticeDelivery* after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetFinished(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  absl::btree_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);  // by id
  absl::btree_set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::string> being_saved_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::string> unrouted_ ABSL_GUARDED_BY(mutex_);  // and stored
  // By sink: when each pending one is due, then oldest first.
  std::map<std::string, absl::btree_set<std::pair<absl::Time, std::string>>> pending_
      ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::pair<absl::Time, std::string>> finished_ ABSL_GUARDED_BY(mutex_);
  // Of each pending delivery, when its notice was made.
  absl::btree_multiset<absl::Time> pending_since_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
  Stats stats_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_OUTBOX_H_
