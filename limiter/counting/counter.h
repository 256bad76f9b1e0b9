// Each subject's windows: the attempts that count, and the left-out ones that pages show.
//
// A subject has one window for every window length among the rules, and one set of left-out windows
// of the first length. If a rule counts certain reply classes, or distinct recipients, the subject
// has side windows of the rule's length for them. The rules determine which kinds of narrower
// subjects are counted; the widest subject that an attempt is charged to is always counted.
//
// The number of subjects is bounded, since a spammer who invents a domain for every message would
// fill the memory. When there is no room, a tenth of the subjects is evicted: the emptiest, and of
// those the ones seen longest ago. A subject whose bad deliveries reach half of a rule's min_bad is
// evicted only after all others, a `kept` one never. A subject near a limit therefore keeps its
// exact counts, however many names come. An evicted subject has fewer deliveries than any that
// stays. If it returns within the window it starts from zero: a rule then trips later, by the
// number of bad deliveries that were evicted (less than half of its min_bad, unless nine tenths of
// all subjects are as near), and its percentage lacks the evicted deliveries.
//
// All fields are guarded by the limiter's lock. Time is that of the log. It is illegal to add a
// contribution that is later than the last AdvanceTo. Before new subjects are added, check
// HasRoomFor.

#ifndef DEFERD_LIMITER_COUNTING_COUNTER_H_
#define DEFERD_LIMITER_COUNTING_COUNTER_H_

#include <array>
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

// A change of a window of the first length: delta +1 for an added contribution, -1 for a removed
// one.
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

  // Call it after the settings were replaced. Windows whose length stays keep their counts; a new
  // length or kind is counted from `now` on.
  void UseSettings(absl::Time now);

  void AdvanceTo(absl::Time now);
  // Forgets the subjects that have no live cell.
  void ForgetDead();
  // Forgets the cells of later steps, after a clock that ran ahead was set back.
  void ComeBackTo(absl::Time now);

  // Whether `one` of those charged is counted.
  bool Tracks(const ChargedSubjects& all, const Charged& one) const;
  bool TracksKind(SubjectKind kind) const { return tracked_[static_cast<int>(kind)]; }
  // Whether a contribution of that time is live in any window.
  bool LiveSomewhere(absl::Time t) const;

  // Appends the changes of first windows to `told`, if that is not null.
  void Add(const ChargedSubjects& charged, absl::Time dated, const Contribution& one,
           std::vector<Contributed>* told);
  void TakeOut(const ChargedSubjects& charged, absl::Time dated, const Contribution& one,
               std::vector<Contributed>* told);
  void AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                  ReplyClass reply_class);
  // Whether there is room for `more` new subjects; if not, call MakeRoom before adding.
  bool HasRoomFor(size_t more) const { return subjects_.size() + more <= options_.max_subjects; }
  // Evicts the emptiest subjects, never one that is `kept`.
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
  // Null if the subject has none. Valid until the next change.
  const Window* Find(const Subject& subject, size_t window) const;
  const SideWindows* FindSide(const Subject& subject, size_t window) const;
  // The bad deliveries with replies of these classes, in this window.
  int64_t SumOf(const Subject& subject, size_t window, ClassSet classes, int64_t now_step,
                int64_t after_step) const;
  // The reply classes that rules count in this window, and whether a rule counts distinct
  // recipients of all bad deliveries, or of those with replies of some classes.
  ClassSet ClassesOf(size_t window) const { return asked_[window].classes; }
  bool AsksRecipients(size_t window) const { return asked_[window].recipients; }
  bool AsksRecipientsByClass(size_t window) const { return !asked_[window].recipients_of.empty(); }
  bool Has(const Subject& subject) const { return subjects_.contains(subject); }
  void ForEach(absl::FunctionRef<void(const Subject&)> tell) const;
  size_t size() const { return subjects_.size(); }
  int64_t evicted() const { return evicted_; }

  // For a store, since the last call: subjects that changed, subjects that the store has and that
  // are forgotten here, and windows of lengths that no rule has any more.
  struct Stale {
    Subject subject;
    absl::Duration length;
    bool side = false;
  };
  std::vector<Subject> TakeChanged() { return std::exchange(changed_, {}); }
  std::vector<Subject> TakeGone() { return std::exchange(gone_, {}); }
  std::vector<Stale> TakeStale() { return std::exchange(stale_, {}); }
  // The caller has copied the subject's windows for a commit; then SetStored if the commit
  // succeeded, else PutBack.
  void SetCollected(const Subject& subject);
  void SetStored(const std::vector<Subject>& subjects);
  void PutBack(std::vector<Subject> changed, std::vector<Subject> gone, std::vector<Stale> stale);
  void AddStale(Stale stale) { stale_.push_back(std::move(stale)); }
  // The window that a stored row is to be read into; null if no rule has this length any more.
  Window* RestoreWindow(const Subject& subject, absl::Duration length);
  // The same for side windows.
  SideWindows* RestoreSide(const Subject& subject, absl::Duration length);
  // Since when each length and kind has been counted.
  std::vector<std::pair<absl::Duration, absl::Time>> LengthsSince() const;
  std::vector<std::pair<SubjectKind, absl::Time>> KindsSince() const;
  // Restores them; lengths and kinds that are not in the lists are counted from `now` on.
  void RestoreSince(absl::Time now,
                    const std::vector<std::pair<absl::Duration, absl::Time>>& lengths,
                    const std::vector<std::pair<SubjectKind, absl::Time>>& kinds);

 private:
  struct State {
    absl::InlinedVector<Window, 1> windows;          // by index into lengths_
    std::unique_ptr<std::vector<SideWindows>> side;  // likewise; null: nothing
    bool changed = false;                            // differs from the store's copy
    bool stored = false;                             // the store has a copy
  };

  // The side windows that rules require, and since when. Their counts begin after that time: stamps
  // are whole seconds, so of a contribution of the same second nobody could tell whether it was
  // added. The same holds for since_ and tracked_since_.
  struct Asked {
    absl::Duration window;
    ClassSet classes;
    bool recipients = false;
    ClassSet recipients_of;  // by rules of these classes
    std::array<absl::Time, kReplyClasses> classes_since;
    absl::Time recipients_since;
    std::array<absl::Time, kReplyClasses> recipients_of_since;

    bool Wants(const Contribution& one) const {
      return recipients || (one.reply_class.has_value() && classes.Has(*one.reply_class));
    }
    void SetSince(const Asked& before, absl::Time now);
  };

  void UseRules(absl::Time now);
  void UseAsked(absl::Time now);
  static void AddSide(const Asked& asked, absl::Time dated, int64_t step, int64_t now_step,
                      const Contribution& one, SideWindows* side);
  static void RemoveSide(const Asked& asked, absl::Time dated, int64_t step,
                         const Contribution& one, SideWindows* side);
  // Whether a contribution of that time is counted for `one`, by its kind.
  bool InKind(const ChargedSubjects& all, const Charged& one, absl::Time dated) const;
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
