// Decides what happens to queued mail: which messages are held for a case, which are released after
// the case has ended, and which are returned to their sender because they were held too long.
//
// Release is gradual: first a small portion, then larger ones as long as the portion before stayed
// under the limit of the case's rule. A person has to decide when
//   - the case was, or may have been, about spam, reputation or unknown recipients;
//   - more than the policy's release_auto_max messages wait (unless a person ended the case);
//   - too many deliveries of a portion were deferred or failed.
// A person decides when unblocking (Case::held_order) or by releasing messages (HeldMail::Release).
// Holder waits up to kJudgedAfter for the outcome of a portion. If no counted outcome is known by
// then (greylisting, full mailboxes, another domain's block), the next portion is released with the
// same size: no message is stuck, and an unknown outcome never speeds up release.
//
// After hold_max a message is returned to its sender, but only to a local sender (a bounce to
// anybody else is backscatter) and only if the evidence of the case is certain. All other messages
// stay held and are shown as overdue.
//
// Each decision uses a fresh listing of the queue and the case table. An order that the next
// listing does not show as done is given again, so a slow or unreachable MTA loses nothing. State
// that has to survive a restart is stored through Parts::remember.
//
// Not thread-safe.

#ifndef DEFERD_LIMITER_QUEUE_HOLDER_H_
#define DEFERD_LIMITER_QUEUE_HOLDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/gate.h"
#include "limiter/cases/held_mail.h"
#include "limiter/localrpc/queued_mail.h"
#include "policy/counts.h"
#include "policy/policy.h"

namespace deferd {

struct QueueOrders {
  std::vector<std::string> hold;
  std::vector<std::string> release;
  std::vector<std::string> give_back;
  std::vector<std::string> now_held;  // not an order: seen held for the first time

  bool empty() const { return hold.empty() && release.empty() && give_back.empty(); }
};

// Held mail of one subject; an empty id stands for mail whose sender is not known.
struct HeldSubject {
  Subject subject;
  int64_t messages = 0;
  int64_t overdue = 0;                         // held for over hold_max and cannot be returned
  bool blocked = false;                        // the subject's case is open
  absl::Time oldest = absl::InfiniteFuture();  // since when the first of them is held
  std::string waits_for;  // why a person has to decide; empty: it is released automatically
};

// Outcome of the messages that were released.
struct PortionOutcome {
  Counts counts;         // counted deliveries only
  int64_t messages = 0;  // with at least one counted delivery
};

// Whether deferd held the message (Postfix's hold queue is shared with other users of it).
// `record`: the case that would have held it.
bool HeldByDeferd(const QueuedMail& mail, const Case& record, const HeldMail& held);
// The newest enforced case, open or closed, among the message's subjects.
std::optional<Case> LastCaseOf(const QueuedMail& mail, const CaseTable& cases);

// Whether a bounce to the message's sender reaches a local user: the sender's domain is hosted
// here, or the sender is the address, or in the domain, of the login or local user that sent the
// message.
bool ReturnsToOurs(const QueuedMail& mail, const ChargeLists& lists);

// Describes what makes a case serious; an empty text: nothing; nullopt: not known.
using GraveOfCase = std::function<std::optional<std::string>(const Case&)>;

// Why a person has to decide about this many messages held for a closed case; empty if nobody has
// to.
std::string WhyPersonDecides(const Case& record, int64_t messages, const Policy& policy,
                             const CaseTable& cases, const GraveOfCase& grave);

class Holder {
 public:
  static constexpr int64_t kFirstPortion = 10;
  static constexpr int64_t kGrowth = 4;
  // A portion is judged once the outcome of all its messages is known, at the latest after this
  // time.
  static constexpr absl::Duration kJudgedAfter = absl::Minutes(2);
  // An order is repeated after kAgain if the queue does not show it done, after kRetry if the MTA
  // reported it as not done.
  static constexpr absl::Duration kAgain = absl::Minutes(1);
  static constexpr absl::Duration kRetry = absl::Seconds(5);

  struct Parts {
    const Gate* gate = nullptr;
    const CaseTable* cases = nullptr;
    HeldMail* held = nullptr;
    GraveOfCase grave;
    // nullopt: the outcome cannot be determined.
    std::function<std::optional<PortionOutcome>(const std::vector<std::string>& ids,
                                                absl::Time since)>
        outcome;
    // Stores a number under a name for the next start; nullopt deletes it.
    std::function<void(const std::string& name, std::optional<int64_t> number)> remember;
  };

  // `remembered`: the numbers that an earlier Holder stored.
  Holder(Parts parts, const std::map<std::string, int64_t>& remembered);

  // `queue`: all messages that are queued now.
  QueueOrders Decide(const std::vector<QueuedMail>& queue, const Policy& policy,
                     const ChargeLists& lists, absl::Time now);

  // Reports that the MTA did not carry out the last order for the message.
  void NotDone(const std::string& id, absl::Time now);

  // Result of the last Decide, largest number of messages first.
  const std::vector<HeldSubject>& held() const { return shown_; }

 private:
  // How a subject's held mail is released after the case `case_id`.
  struct Plan {
    std::string case_id;
    int64_t portion = kFirstPortion;
    std::vector<std::string> out;  // the portion that was released last
    absl::Time out_since;
    std::string waits_for;
  };
  using Group = std::vector<const QueuedMail*>;
  enum class Judgement : uint8_t { kWait, kGood, kUnknown, kBad };

  std::optional<Case> HeldBy(const QueuedMail& mail) const;
  void ForgetDeparted(const std::vector<QueuedMail>& queue);
  // A message without recipients: Postfix finished it while it was being put on hold, and removes
  // it once the hold is lifted.
  void DecideDone(const QueuedMail& mail, absl::Time now, QueueOrders* orders);
  // Fills seen_, and over_ if the message is due for release.
  void DecideHeld(const QueuedMail& mail, const std::optional<Case>& by, const Policy& policy,
                  const ChargeLists& lists, absl::Time now, QueueOrders* orders);
  bool Order(const std::string& id, char order, absl::Time now);
  void Remember(const std::string& id, absl::Time since);
  void ReleaseFor(const Case& record, const Group& group, const Policy& policy, absl::Time now,
                  QueueOrders* orders);
  Plan& PlanFor(const Case& record, int64_t messages, const Policy& policy);
  // Judges the released portion. kBad stores the reason in plan->waits_for.
  Judgement JudgePortion(const Case& record, absl::Time now, Plan* plan) const;
  // Returns a message that was held too long. `record`: the case that holds it, if known.
  void GiveBack(const QueuedMail& mail, const Case* record, const Policy& policy,
                const ChargeLists& lists, absl::Time now, HeldSubject* subject,
                QueueOrders* orders);
  void KeepPlan(const Plan& plan) const;
  // Called when nothing is held.
  void ForgetPlans();

  const Parts parts_;
  absl::flat_hash_map<std::string, absl::Time> held_since_;                // by id
  absl::flat_hash_set<std::string> counted_;                               // ids
  absl::flat_hash_map<std::pair<std::string, char>, absl::Time> ordered_;  // id and order
  absl::flat_hash_set<std::string>
      released_;  // subset of HeldMail's released messages that is stored
  absl::flat_hash_map<Subject, Plan> plans_;
  std::map<std::string, int64_t> kept_plans_;  // portion by case id; 0: a person decides
  // State of one Decide.
  absl::flat_hash_map<Subject, std::pair<Case, Group>> over_;
  absl::flat_hash_map<Subject, HeldSubject> seen_;
  HeldMail::Counts arrived_;
  std::vector<HeldSubject> shown_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HOLDER_H_
