// All cases of this node, in memory.
//
// A person's exemption is an open case whose answer is `pass` (Case::exempts). A person's case may
// cover "*.example.com" (every name below), and an exemption "tag:NAME" (the subjects that this tag
// of the policy lists); every other case is of one subject.
//
// The one place where counting and answering meet: the limiter writes, the hook and the admin
// socket read. Safe from any thread: mutex_ guards every field but the two atomic counters, which
// are written with mutex_ held and read without. A lookup holds the lock for a hash lookup and a
// copy, a write for about as long; neither waits for a disk or a network. Only the Casebook may
// call Put; Restore comes before anything else.

#ifndef DEFERD_LIMITER_CASES_CASE_TABLE_H_
#define DEFERD_LIMITER_CASES_CASE_TABLE_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/cases/case.h"
#include "limiter/port/mutex.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

// A line of the record: every opening, ending, block and unblock.
struct CaseEvent {
  absl::Time time;
  CaseChange change;
  Case record;  // as it was after the change
};

class CaseTable {
 public:
  // Closed cases and events kept; the oldest are forgotten first.
  static constexpr size_t kMaxHistory = 10'000;

  // What is in force for a subject: its case in shadow, if any, and its blocks. These are its own
  // block and a person's blocks of "*." names that cover the domain, the longest name first. At
  // most one enforced and one shadow case of a subject are open at a time.
  struct InForce {
    std::optional<Case> watched;
    std::vector<Case> blocks;
  };
  InForce FindInForce(const Subject& subject, absl::Time now) const;
  // The strictest of these blocks.
  std::optional<Case> FindEnforced(const Subject& subject, absl::Time now) const;
  std::optional<Case> FindOpen(const Subject& subject, bool shadow) const;
  // The exemption in force at `now` of the subject, of a domain that it is charged inside of, of a
  // tag that lists it, or of a name with "*.": the narrowest. Without the lock when there are none.
  std::optional<Case> FindExemption(const Subject& subject, absl::Span<const Subject> within,
                                    const Policy& policy, absl::Time now) const;

  // Opens `record`, or replaces the open one with the same subject and `shadow`. A closed `record`
  // leaves the open ones and joins the history.
  void Put(CaseChange change, absl::Time time, Case record);

  // Replaces everything with the stored cases and their events, in order.
  void Restore(std::vector<Case> cases, std::vector<CaseEvent> events);

  // Forgets the cases that were closed before `t`.
  void ForgetClosed(absl::Time t);
  // The ids of closed cases that were forgotten, by age or because there were too many, since the
  // last call.
  std::vector<std::string> TakeForgotten();

  // When the next open case ends; InfiniteFuture if none is open.
  absl::Time EarliestUntil() const;
  // The open case that ends first, if it ends by `t`; of several at once a part of a domain
  // before the domain, else the first by subject.
  std::optional<Case> NextDue(absl::Time t) const;

  // Open cases, by subject.
  std::vector<Case> Open() const;
  // Closed ones, newest first, at most `limit`.
  std::vector<Case> Closed(size_t limit) const;
  // The newest record of the case with this id, whatever its letters' case.
  std::optional<Case> FindById(absl::string_view id) const;
  // The record of one subject, newest first, at most `limit`.
  std::vector<CaseEvent> EventsOf(const Subject& subject, size_t limit) const;

  // Whether any enforced case is open. Takes no lock, since most queries find none.
  bool AnyOpen() const { return open_count_.load(std::memory_order_relaxed) != 0; }
  size_t CountOpen(bool shadow) const;  // blocks, without exemptions
  size_t CountExemptions() const { return exemptions_.load(std::memory_order_relaxed); }

 private:
  struct Key {
    Subject subject;
    bool shadow;
    friend bool operator==(const Key&, const Key&) = default;
    // Parts of domains before domains.
    friend bool operator<(const Key& a, const Key& b) {
      const bool a_wide = a.subject.kind == SubjectKind::kDomain;
      const bool b_wide = b.subject.kind == SubjectKind::kDomain;
      return std::tie(a_wide, a.subject.id, a.subject.kind, a.shadow) <
             std::tie(b_wide, b.subject.id, b.subject.kind, b.shadow);
    }
    template <typename H>
    friend H AbslHashValue(H h, const Key& key) {
      return H::combine(std::move(h), key.subject, key.shadow);
    }
  };

  void Count(const Case& open, int by) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Case* FindIn(const Subject& subject) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(Case record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  absl::flat_hash_map<Key, Case> open_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::pair<absl::Time, Key>> by_until_ ABSL_GUARDED_BY(mutex_);  // of open_
  std::deque<Case> closed_ ABSL_GUARDED_BY(mutex_);                               // newest first
  std::vector<std::string> forgotten_ ABSL_GUARDED_BY(mutex_);
  std::deque<CaseEvent> events_ ABSL_GUARDED_BY(mutex_);
  absl::btree_set<std::string> exempt_tags_ ABSL_GUARDED_BY(mutex_);  // by name
  size_t patterns_ ABSL_GUARDED_BY(mutex_) = 0;                       // open ones of "*." names
  std::atomic<size_t> open_count_{0};
  std::atomic<size_t> exemptions_{0};  // of those
};

// The subject of an exemption for all subjects that a tag lists begins with this.
inline constexpr absl::string_view kTagPrefix = "tag:";
// "*.example.com"
bool IsPattern(const Subject& subject);
// Returns each "*." name that covers the domain, the longest first.
std::vector<Subject> PatternsOf(absl::string_view domain);
// How narrow a person's case is by its subject; a greater number is narrower. A host, which may
// send for any domain, is the widest.
int NarrownessOf(const Subject& subject);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_CASE_TABLE_H_
