// What to do with the mail that is queued: hold what a case asks for, let go of it when the case is
// over, give back what was held too long.
//
// Letting go is graduated: a first portion, then, if less of it went wrong than the case's rule
// allows, more. Nothing leaves without a person when the case was about spam, reputation or
// unknown recipients, when it has no receipt to tell that, when more than the policy's
// release_auto_max would go, or when a portion went wrong; a person says so by unblocking the
// subject or by letting go of the messages (LetGo).
//
// A decision is made of a listing of the queue and of the case table alone; what was done stays
// undone until the next listing shows it, so nothing is lost by an MTA that is slow or away. What
// is remembered between two listings may be lost: after a restart held mail is found in the queue,
// its cases in the table; how long it was held is then counted from its case's beginning or its
// arrival, the later one.
//
// Not thread-safe.

#ifndef DEFERD_LIMITER_HOLDER_H_
#define DEFERD_LIMITER_HOLDER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "limiter/case.h"
#include "limiter/case_table.h"
#include "limiter/gate.h"
#include "limiter/held_mail.h"
#include "limiter/queued_mail.h"
#include "policy/counts.h"
#include "policy/policy.h"
#include "policy/reply_class.h"

namespace deferd {

struct QueueOrders {
  std::vector<std::string> hold;
  std::vector<std::string> release;
  std::vector<std::string> give_back;

  bool empty() const { return hold.empty() && release.empty() && give_back.empty(); }
};

// What is held for one subject.
struct HeldSubject {
  Subject subject;
  int64_t messages = 0;
  bool blocked = false;   // its case is open
  std::string waits_for;  // why a person has to decide; empty: it leaves by itself
};

class Holder {
 public:
  static constexpr int64_t kFirstPortion = 10;
  static constexpr int64_t kGrowth = 4;
  // A portion is judged when all of it has left the queue, or after so long.
  static constexpr absl::Duration kJudgedAfter = absl::Minutes(5);
  // An order is given again when the queue does not show it after so long.
  static constexpr absl::Duration kAgain = absl::Minutes(1);

  struct Parts {
    const Gate* gate = nullptr;
    const CaseTable* cases = nullptr;
    HeldMail* held = nullptr;
    // What most of a case's counted answers were; none if that is not known.
    std::function<std::optional<ReplyClass>(const Case&)> leading_class;
    // Whether it is on record that deferd had this message held.
    std::function<bool(const std::string& id)> was_held;
    // What became of these messages since `since`, as far as it counts.
    std::function<Counts(const std::vector<std::string>& ids, absl::Time since)> outcomes;
  };

  explicit Holder(Parts parts) : parts_(std::move(parts)) {}

  // `queue`: everything that is queued now.
  QueueOrders Decide(const std::vector<QueuedMail>& queue, const Policy& policy, absl::Time now);

  // A person lets these messages go, whatever their cases say.
  void LetGo(const std::vector<std::string>& ids) { parts_.held->LetGo(ids); }

  // Of the last decision, the most messages first.
  const std::vector<HeldSubject>& held() const { return shown_; }

 private:
  // How a subject's held mail is let go of, after the case `case_id`.
  struct Plan {
    std::string case_id;
    int64_t portion = kFirstPortion;
    std::vector<std::string> out;  // the portion that was let go of last
    absl::Time out_since;
    std::string waits_for;
  };
  using Group = std::vector<const QueuedMail*>;

  std::optional<Case> HeldBy(const QueuedMail& mail) const;
  // The case that held it: the newest of its subjects'.
  std::optional<Case> LastCaseOf(const QueuedMail& mail) const;
  // Postfix's hold queue is everybody's.
  bool HeldByDeferd(const QueuedMail& mail, const Case& record);
  bool Ask(const std::string& id, char order, absl::Time now);
  void LetGoOf(const Case& record, const Group& group, const Policy& policy,
               const absl::flat_hash_set<std::string>& queued, absl::Time now, QueueOrders* orders);
  // Why a person has to decide; empty if nobody has to.
  std::string NeedsPerson(const Case& record, int64_t messages, const Policy& policy) const;
  // True if the portion that is out is judged to be good; otherwise wait, or plan->waits_for.
  bool PortionIsGood(const Case& record, const absl::flat_hash_set<std::string>& queued,
                     absl::Time now, Plan* plan) const;

  const Parts parts_;
  absl::flat_hash_map<std::string, absl::Time> held_since_;              // by id
  absl::flat_hash_map<std::pair<std::string, char>, absl::Time> asked_;  // id and order
  absl::flat_hash_map<std::string, bool> by_deferd_;                     // by id
  absl::flat_hash_map<Subject, Plan> plans_;
  std::vector<HeldSubject> shown_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOLDER_H_
