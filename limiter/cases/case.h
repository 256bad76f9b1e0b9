// A case: the record of a subject's trouble.
//
// A rule or a person opens it. It lasts until `until`, or until a person ends it, and is kept
// afterwards as a record. A *block* is a case in state blocked. A plain value: whoever holds a copy
// owns it.

#ifndef DEFERD_LIMITER_CASES_CASE_H_
#define DEFERD_LIMITER_CASES_CASE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/counts.h"
#include "policy/judgement.h"
#include "policy/measure.h"
#include "policy/policy.h"
#include "policy/refusal_text.h"
#include "policy/subject.h"

namespace deferd {

enum class CaseState : uint8_t { kBlocked, kProbation, kClosed };
absl::string_view CaseStateName(CaseState state);

// The order of the person who ends a case for the mail that it holds; with kNone the case's
// evidence decides (holder.h).
enum class HeldOrder : uint8_t { kNone, kRelease, kKeep };

// Why a case is closed: its time was over, the policy no longer enforces it, its evidence turned
// out to be an incident, an enforced case of the subject opened (for a shadow case), or a person
// ended it.
enum class Ending : uint8_t { kNone, kTime, kPolicy, kIncident, kEnforced, kPerson };

// A person's decision about a subject.
struct PersonsWord {
  bool blocked = false;  // else unblocked
  std::string by;
  std::string reason;
  absl::Time at;

  friend bool operator==(const PersonsWord&, const PersonsWord&) = default;
};

// No deferd makes a revision from here on: a record with one is ignored, and the next put replaces
// it.
inline constexpr int64_t kMostRev = int64_t{1} << 40;

// How long a person's decision without an end lasts. A finite time, so that every deferd that
// shares the record can read it.
inline constexpr absl::Duration kForever = absl::Hours(24 * 365 * 100);

// The judgement is that of the tripped rule, as it was when it tripped; empty if `manual`.
struct Case : Judgement {
  std::string id;  // NODE-INCARNATION-NUMBER
  Subject subject;
  Subject within;  // the domain that a narrower subject is part of; no id: none
  CaseState state = CaseState::kBlocked;
  bool manual = false;   // a person's, not a rule's
  bool shadow = false;   // judged and shown, never answered
  bool history = false;  // its time was over before it was found: never enforced
  Action action;

  bool soft = false;  // held until the rule's cutoff is reached, which changes the action
  absl::Time since;   // the tripping attempt's stamp, or the time of the person's decision
  absl::Time until;
  absl::Time closed_at = absl::InfiniteFuture();
  std::string by;      // "rule", or the person: "root", "uid 1000"
  std::string reason;  // a person's words
  Ending ending = Ending::kNone;
  std::string closed_by;  // the person, if one ended it
  std::string closed_reason;
  HeldOrder held_order = HeldOrder::kNone;
  // The basis of its counts: the window at `judged_at`, later than `counted_after` (the end of an
  // earlier case), without these narrower subjects, which had cases of their own.
  absl::Time judged_at;
  absl::Time counted_after = absl::InfinitePast();
  std::vector<std::string> apart;
  // ... and without the attempts of these until the given time, when cases of theirs ended.
  std::vector<std::pair<std::string, absl::Time>> apart_until;
  bool once = true;  // each message and recipient counted once (Policy::count)
  int extended = 0;  // how often `until` was moved on because it tripped again

  // With several nodes: `rev` orders the records of a subject (0: never shared), attempts count
  // from `cleared_at` on, and `counts_by_node` are the counts that tripped the rule.
  int64_t rev = 0;
  int level = 0;
  absl::Time cleared_at = absl::InfinitePast();
  std::vector<std::pair<std::string, Counts>> counts_by_node;
  // When a person last decided about the subject (InfinitePast: nobody did, nullopt: not known),
  // and the earlier decision that this one overruled (decision.h).
  std::optional<absl::Time> decided_at = absl::InfinitePast();
  std::optional<PersonsWord> overruled;
  // The shared store's clock minus this node's when this node wrote the record; nullopt: it was not
  // known. Not shared.
  std::optional<absl::Duration> clock_offset;

  // A person's exemption: MTAs are answered `pass`, and rules open no case while it lasts.
  bool exempts() const { return manual && action.Strictest() == Verdict::kPass; }
  // A person's decision without an end.
  bool permanent() const { return manual && until - since > kForever / 2; }
  // In force at `now`: MTAs are answered by this case.
  bool Enforced(absl::Time now) const {
    return state == CaseState::kBlocked && !shadow && now < until;
  }
  Refusal ToRefusal() const {
    return {subject, bad(),   min_bad, percent, permanent() ? absl::InfiniteFuture() : until,
            manual,  measure, soft,    window,  id};
  }
};

// What happened to a case; with the case it makes the record of who did what, when and why.
// kAdopted: the change came from another node.
enum class CaseChange : uint8_t {
  kOpened,
  kExtended,
  kEnded,
  kBlockedByPerson,
  kUnblocked,
  kAdopted
};
inline constexpr int kCaseChanges = 6;
absl::string_view CaseChangeName(CaseChange change);

// Who ended a case, in a word, as pages show it and stores keep it: "time", "policy", "incident",
// "rule" (kEnforced), or the person; empty while it is open.
std::string CloserOf(const Case& record);
void SetCloser(absl::string_view closer, Case* record);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CASES_CASE_H_
