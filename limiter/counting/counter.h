// Each subject's windows: what counts, and what is shown and does not count.
//
// There is a window of every length that a rule has, and one set of what is left out, of the first
// length. Where a rule asks for classes of answers, or for distinct recipients, these are counted
// besides, in windows of the rule's length. Which kinds of narrower subjects are counted follows
// from the rules; the widest subject that an attempt is charged to always is.
//
// The number of subjects is bounded: senders that are never seen again (every mail another invented
// domain) would fill the memory. When there is no room, a tenth of the subjects is forgotten: the
// emptiest, and of those the ones that were seen longest ago. One whose bad deliveries reach half
// of what a rule asks for goes only after all others, one that is to be kept never. So whatever is
// near a limit keeps its exact counts, however many names come. What is forgotten has fewer
// deliveries than anything that stays; should it come back within the window, it begins anew: a
// rule trips for it later by as many bad ones as were forgotten (less than half of its min_bad,
// unless nine tenths of all subjects are as near), and its share lacks that many deliveries.
//
// Owned by the limiter and under its lock. Time is that of the log: AdvanceTo before anything of a
// later time is added.

#ifndef DEFERD_LIMITER_COUNTING_COUNTER_H_
#define DEFERD_LIMITER_COUNTING_COUNTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "limiter/counting/side_windows.h"
#include "limiter/counting/window.h"
#include "policy/charge.h"
#include "policy/counts.h"
#include "policy/measure.h"
#include "policy/reply/reply_class.h"
#include "policy/settings.h"
#include "policy/subject.h"

namespace deferd {

// What became of a window of the first length: delta +1 added, -1 taken out again.
struct Contributed {
  Subject subject;
  CountedOutcome outcome = CountedOutcome::kDelivered;
  int delta = 1;
};

struct CounterOptions {
  size_t max_subjects = 500'000;
  bool track_changes = false;  // somebody stores what changes
};

class Counter {
 public:
  // `settings` is the limiter's, whose policy gives the lengths and kinds.
  Counter(const CounterOptions& options, const Settings* settings);

  // The settings are others now. Windows of lengths that stay keep their counts; a new length or
  // kind is counted from `now` on.
  void UseSettings(absl::Time now);

  void AdvanceTo(absl::Time now);
  // Forgets the subjects that have nothing live left.
  void ForgetDead();
  // A clock that was ahead was set back: forgets what is of later steps.
  void ComeBackTo(absl::Time now);

  // Whether `one` of those charged is counted.
  bool Tracks(const ChargedSubjects& all, const Charged& one) const;
  bool TracksKind(SubjectKind kind) const { return tracked_[static_cast<int>(kind)]; }
  // Whether a contribution of that time is live in any window.
  bool LiveSomewhere(absl::Time t) const;

  // Adds what happened to `told`, if that is not null.
  void Add(const ChargedSubjects& charged, absl::Time dated, const Contribution& one,
           std::vector<Contributed>* told);
  void TakeOut(const ChargedSubjects& charged, absl::Time dated, const Contribution& one,
               std::vector<Contributed>* told);
  void AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                  ReplyClass reply_class);
  // Whether there is room for `more` new subjects; if not, MakeRoom first.
  bool HasRoomFor(size_t more) const { return subjects_.size() + more <= options_.max_subjects; }
  // Forgets the emptiest, never one that is `kept`.
  void MakeRoom(absl::FunctionRef<bool(const Subject&)> kept);

  // The windows' lengths, in the policy's order.
  const std::vector<StepClock>& lengths() const { return lengths_; }
  const StepClock& first() const { return lengths_.front(); }
  absl::Duration longest() const;
  std::optional<size_t> IndexOf(absl::Duration length) const;

  // This node's counts: live cells at `now_step` later than `after_step`.
  Counts Sum(const Subject& subject, size_t window, int64_t now_step, int64_t after_step) const;
  std::vector<std::pair<ReplyClass, int64_t>> LeftOutOf(const Subject& subject, int64_t now_step,
                                                        int64_t after_step) const;
  // Null: it has none. Valid until the next change.
  const Window* Find(const Subject& subject, size_t window) const;
  const SideWindows* FindSide(const Subject& subject, size_t window) const;
  // The bad ones with answers of these classes, in this window.
  int64_t SumOf(const Subject& subject, size_t window, ClassSet classes, int64_t now_step,
                int64_t after_step) const;
  // The classes that rules ask for in this window, and whether one asks for distinct recipients.
  ClassSet ClassesOf(size_t window) const { return asked_[window].classes; }
  bool AsksRecipients(size_t window) const { return asked_[window].recipients; }
  bool Has(const Subject& subject) const { return subjects_.contains(subject); }
  void ForEach(absl::FunctionRef<void(const Subject&)> tell) const;
  size_t size() const { return subjects_.size(); }
  int64_t evicted() const { return evicted_; }

  // For a store: what has changed since the last call, what it has and is forgotten, and the
  // windows of lengths that are no longer judged.
  struct Stale {
    Subject subject;
    absl::Duration length;
    bool side = false;
  };
  std::vector<Subject> TakeChanged() { return std::exchange(changed_, {}); }
  std::vector<Subject> TakeGone() { return std::exchange(gone_, {}); }
  std::vector<Stale> TakeStale() { return std::exchange(stale_, {}); }
  // It is going to be stored as it is now.
  void SetCollected(const Subject& subject);
  // They are stored, or could not be.
  void SetStored(const std::vector<Subject>& subjects);
  void PutBack(std::vector<Subject> changed, std::vector<Subject> gone, std::vector<Stale> stale);
  void AddStale(Stale stale) { stale_.push_back(std::move(stale)); }
  // Where a stored window is read into; null if it is of a length that is no longer judged.
  Window* RestoreWindow(const Subject& subject, absl::Duration length);
  // The same of its side windows.
  SideWindows* RestoreSide(const Subject& subject, absl::Duration length);
  // From when on lengths and kinds are counted.
  std::vector<std::pair<absl::Duration, absl::Time>> LengthsSince() const;
  std::vector<std::pair<SubjectKind, absl::Time>> KindsSince() const;
  // Those that the settings of before did not have are counted from `now` on.
  void RestoreSince(absl::Time now,
                    const std::vector<std::pair<absl::Duration, absl::Time>>& lengths,
                    const std::vector<std::pair<SubjectKind, absl::Time>>& kinds);

 private:
  struct State {
    absl::InlinedVector<Window, 1> windows;          // by index into lengths_
    std::unique_ptr<std::vector<SideWindows>> side;  // likewise; null: nothing
    // Of the store's copy.
    bool changed = false;
    bool stored = false;
  };

  // What rules ask for besides the counts, in a window.
  struct Asked {
    ClassSet classes;
    bool recipients = false;
  };

  void UseRules(absl::Time now);
  void UseAsked();
  SideWindows* SideOf(State* state, size_t window);
  State& StateOf(const Subject& subject);
  void Changed(const Subject& subject, State* state);
  void Gone(const Subject& subject, const State& state);
  void ForgetWaiting();
  int64_t now_step(size_t i) const { return now_steps_[i]; }

  const CounterOptions options_;
  const Settings* const settings_;
  std::vector<StepClock> lengths_;          // Policy::Windows
  std::vector<int64_t> now_steps_;          // by length
  std::vector<absl::Time> since_;           // by length: when the policy first had it
  std::vector<Asked> asked_;                // by length
  bool tracked_[kSubjectKinds] = {};        // by SubjectKind
  bool tracked_alone_[kSubjectKinds] = {};  // only Rule::unhosted
  absl::Time tracked_since_[kSubjectKinds];
  absl::flat_hash_map<Subject, State> subjects_;
  int64_t evicted_ = 0;
  std::vector<Subject> changed_;
  std::vector<Subject> gone_;
  std::vector<Stale> stale_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_COUNTER_H_
