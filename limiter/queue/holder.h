// What to do with the mail that is queued: hold what a case asks for, let go of it when the case is
// over, give back what was held too long.
//
// Letting go is graduated: a first portion, then, if less of it went wrong than the case's rule
// allows, more. Nothing leaves without a person when the case was about spam, reputation or
// unknown recipients, or may have been, when more than the policy's release_auto_max would go
// (unless a person ended the case), or when a portion went wrong. A person says so when unblocking
// (Case::held_order) or by letting go of the messages (HeldMail::LetGo). What became of a portion
// is waited for until kJudgedAfter. If nothing that counts is known of it then (greylisting, full
// mailboxes, another domain's block), the next portion goes and is as large: nothing strands, and
// nothing unknown lets more go at once.
//
// After hold_max a message is given back, but to a sender of ours alone (a bounce to anybody else
// is backscatter), and only for a case whose evidence is sure. The rest stays, and is shown as
// overdue.
//
// Decisions are made of a listing of the queue and of the case table, and orders that the next
// listing does not show carried out are given again, so nothing is lost by an MTA that is slow or
// away. What a restart must not forget goes through Parts::remember.
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
  std::vector<std::string> now_held;  // no order: seen to be held for the first time

  bool empty() const { return hold.empty() && release.empty() && give_back.empty(); }
};

// What is held for one subject; without an id: for nobody that is known.
struct HeldSubject {
  Subject subject;
  int64_t messages = 0;
  int64_t overdue = 0;    // of them, held for over hold_max and not to be given back
  bool blocked = false;   // its case is open
  std::string waits_for;  // why a person has to decide; empty: it leaves by itself
};

// What became of messages that were let go.
struct PortionOutcome {
  Counts counts;         // of what counts
  int64_t messages = 0;  // that something counted is known of
};

// Whether deferd had it held; Postfix's hold queue is everybody's. `record`: the case that would
// have.
bool HeldByDeferd(const QueuedMail& mail, const Case& record, const HeldMail& held);
// The newest enforced case of its subjects, open or over.
std::optional<Case> LastCaseOf(const QueuedMail& mail, const CaseTable& cases);

// Whether a bounce to the message's sender reaches somebody of ours: its domain is hosted here, or
// it is the address of the login or local user that sent the message, or of that one's domain.
bool ReturnsToOurs(const QueuedMail& mail, const ChargeLists& lists);

// What makes a case grave, in words; empty: nothing; none: it is not known.
using GraveOfCase = std::function<std::optional<std::string>(const Case&)>;

// Why a person has to decide about so many messages that are held for a case that is over; empty if
// nobody has to.
std::string WhyPersonDecides(const Case& record, int64_t messages, const Policy& policy,
                             const CaseTable& cases, const GraveOfCase& grave);

class Holder {
 public:
  static constexpr int64_t kFirstPortion = 10;
  static constexpr int64_t kGrowth = 4;
  // A portion is judged when something that counts is known of all of it, at the latest after this.
  static constexpr absl::Duration kJudgedAfter = absl::Minutes(2);
  // An order is given again when the queue does not show it after so long, or when the MTA said
  // that it was not done.
  static constexpr absl::Duration kAgain = absl::Minutes(1);
  static constexpr absl::Duration kRetry = absl::Seconds(5);

  struct Parts {
    const Gate* gate = nullptr;
    const CaseTable* cases = nullptr;
    HeldMail* held = nullptr;
    GraveOfCase grave;
    // None: it cannot be known.
    std::function<std::optional<PortionOutcome>(const std::vector<std::string>& ids,
                                                absl::Time since)>
        outcome;
    // Keeps a number under a name, for the next start; none: forgets it.
    std::function<void(const std::string& name, std::optional<int64_t> number)> remember;
  };

  // `remembered`: what an earlier one kept.
  Holder(Parts parts, const std::map<std::string, int64_t>& remembered);

  // `queue`: everything that is queued now.
  QueueOrders Decide(const std::vector<QueuedMail>& queue, const Policy& policy,
                     const ChargeLists& lists, absl::Time now);

  // The MTA did not carry out the order that the last decision gave for the message.
  void NotDone(const std::string& id, absl::Time now);

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
  enum class Judgement : uint8_t { kWait, kGood, kUnknown, kBad };

  std::optional<Case> HeldBy(const QueuedMail& mail) const;
  void ForgetWhatIsGone(const std::vector<QueuedMail>& queue);
  // Nobody waits for it: Postfix was done with it in the moment in which it was put on hold, and
  // removes it once that is over.
  void DecideDone(const QueuedMail& mail, absl::Time now, QueueOrders* orders);
  // Into seen_, and over_ where it is to be let go of.
  void DecideHeld(const QueuedMail& mail, const std::optional<Case>& by, const Policy& policy,
                  const ChargeLists& lists, absl::Time now, QueueOrders* orders);
  bool Ask(const std::string& id, char order, absl::Time now);
  void Remember(const std::string& id, absl::Time since);
  void LetGoOf(const Case& record, const Group& group, const Policy& policy, absl::Time now,
               QueueOrders* orders);
  Plan& PlanFor(const Case& record, int64_t messages, const Policy& policy);
  // Of the portion that is out. kBad says why in plan->waits_for.
  Judgement JudgePortion(const Case& record, absl::Time now, Plan* plan) const;
  // What has been held for too long. `record`: the case that holds it, if that is known.
  void GiveBack(const QueuedMail& mail, const Case* record, const Policy& policy,
                const ChargeLists& lists, absl::Time now, HeldSubject* subject,
                QueueOrders* orders);
  void KeepPlan(const Plan& plan) const;
  // Once nothing is held.
  void ForgetPlans();

  const Parts parts_;
  absl::flat_hash_map<std::string, absl::Time> held_since_;              // by id
  absl::flat_hash_set<std::string> counted_;                             // ids
  absl::flat_hash_map<std::pair<std::string, char>, absl::Time> asked_;  // id and order
  absl::flat_hash_set<std::string> let_go_;  // of HeldMail's, those that are remembered
  absl::flat_hash_map<Subject, Plan> plans_;
  std::map<std::string, int64_t> kept_plans_;  // by case id: the portion; 0: a person decides
  // Of one decision.
  absl::flat_hash_map<Subject, std::pair<Case, Group>> over_;
  absl::flat_hash_map<Subject, HeldSubject> seen_;
  HeldMail::Counts arrived_;
  std::vector<HeldSubject> shown_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HOLDER_H_
