// The decision: attempts in, cases out.
//
// Charges every attempt, counts it in its subjects' windows, judges all rules after each attempt
// that adds a bad contribution (in log order, at the greatest stamp accepted so far), and opens,
// extends and ends cases in the case table. It knows no file, socket or thread of its own: the
// daemon's recorder and `deferctl replay` drive the same object, so both come to the same result,
// whatever the batches. Time is that of the log; the clock only bounds what is accepted (an attempt
// more than kMaxAhead after it is `future`), ends cases while the log is quiet, and drives what is
// shown.
//
// Every public method takes the one lock, for at most a batch. Safe from any thread.

#ifndef DEFERD_LIMITER_LIMITER_H_
#define DEFERD_LIMITER_LIMITER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/casebook.h"
#include "limiter/counting/clearings.h"
#include "limiter/counting/contributions.h"
#include "limiter/counting/counter.h"
#include "limiter/events.h"
#include "limiter/judging/culprit.h"
#include "limiter/judging/incident_watch.h"
#include "limiter/judging/judge.h"
#include "limiter/judging/live_counts.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/sharing/case_exchange.h"
#include "limiter/sharing/exchange.h"
#include "limiter/sharing/row_exchange.h"
#include "limiter/store/facts_codec.h"
#include "limiter/store/local_store.h"
#include "limiter/store/shared_store.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/evaluate.h"
#include "policy/policy.h"
#include "policy/reply/classify.h"
#include "policy/settings.h"

namespace deferd {

struct LimiterOptions {
  std::string node = "local";
  int64_t incarnation = 1;
  size_t max_messages = 2'000'000;  // open messages remembered for counting once
  // And their recipients.
  size_t max_recipients = 4'000'000;
  size_t max_subjects = 500'000;  // with counts; the emptiest go first (counting/counter.h)
  bool keep = false;    // remember what has changed, for CollectChanges: somebody stores it
  bool shared = false;  // count with other nodes: the methods of limiter_shared.cc; needs `keep`
};

// A subject's live window, by the first rule's length.
struct SubjectCounts {
  Subject subject;
  Counts counts;
};

// Everything about one subject, for the page `why`.
struct SubjectReport {
  Counts counts;                                               // of the first rule's window
  absl::Duration window;                                       // its length
  std::vector<std::pair<std::string, Counts>> counts_by_node;  // where nodes share
  std::vector<std::pair<ReplyClass, int64_t>> left_out;  // by class of the answers, the most first
  struct RuleReport {
    Rule rule;
    Counts counts;
    Counts recent;  // of the window's last quarter
    int percent = 0;
    bool tripped = false;
    bool shadow = false;  // the rule's own, or the policy's mode
  };
  std::vector<RuleReport> rules;  // those that judge this subject
  bool exempt = false;            // it, or a domain that it is part of
  bool hosted = true;             // false: a domain that is not hosted here
  bool may_be_blocked = true;     // by a rule: neither of the two keeps it from that
  bool policy_shadow = false;     // the policy's mode
  std::vector<Subject> within;    // the domains that a narrower subject is part of
  std::vector<Case> parts;        // open cases of subjects that are part of it
  absl::Time cleared_at = absl::InfinitePast();
};

class Limiter {
 public:
  static constexpr absl::Duration kMaxAhead = absl::Minutes(5);
  // How much further the stamps accepted may be ahead of the clock (limiter_clock.cc).
  static constexpr absl::Duration kPatience = absl::Minutes(10);

  // `clock` and `cases` must outlive it.
  Limiter(const LimiterOptions& options, Settings settings, const Clock* clock, CaseTable* cases);

  // What happened is told by the caller (events.h), who owns the batch.
  [[nodiscard]] Events Record(const EventBatch& batch);

  // Ends the cases whose time was over by the clock `slack` ago. Call it now and then while the
  // logs are read to their end: attempts that came before a case's end should be known by then.
  [[nodiscard]] Events Tick(absl::Duration slack = absl::ZeroDuration());

  // Takes a new policy and lists for what comes. Windows of lengths that the old policy had keep
  // their counts. Open cases stay until they end, except those that the new policy would not
  // enforce: its mode or their rule is in shadow now, their rule is gone, or the subject is exempt
  // or no longer hosted.
  [[nodiscard]] Events SetSettings(Settings settings);
  Settings settings() const;

  // A person's decisions. `by` is who; both are recorded. A block of a subject that a rule blocked
  // takes that case's place, and ends no earlier.
  Case Block(const Subject& subject, absl::Duration duration, const std::string& by,
             const std::string& reason, Events* events);
  // Ends every open case of the subject; only attempts of later steps count from now on. `held`:
  // what the person says of the mail that is held for it. NotFound if no case is open.
  absl::StatusOr<Case> Unblock(const Subject& subject, const std::string& by,
                               const std::string& reason, HeldOrder held, Events* events);

  // Adds to `batch` what has changed since the last call: windows, contributions, clearings, cases,
  // events and the facts. Call ChangesSaved before the next one.
  void CollectChanges(StoreBatch* batch);
  // Whether what the last CollectChanges gave was stored. If not, it is collected again.
  void ChangesSaved(bool saved);

  // What a store gives back, before anything is recorded: the facts first, FinishRestore last,
  // which takes account of settings that differ from those of before. DataLoss if the bytes are
  // damaged.
  absl::Status RestoreFacts(absl::string_view text);
  absl::Status RestoreWindow(const StoredWindow& window);
  absl::Status RestoreContribution(absl::string_view text);
  absl::Status RestoreClearing(absl::string_view text);
  absl::Status RestoreCase(absl::string_view text);
  absl::Status RestoreEvent(absl::string_view text);
  absl::Status RestorePlace(absl::string_view text);
  [[nodiscard]] Events FinishRestore();

  // Live subjects, worst first (most bad, then highest share); limit 0: all.
  std::vector<SubjectCounts> Top(size_t limit) const;
  SubjectReport Report(const Subject& subject) const;

  // Open incidents, then those that ended lately.
  std::vector<Incident> ShownIncidents() const;

  // Sharing (limiter_shared.cc). What has changed here is put into the shared store by whoever
  // calls these, after it is stored at home; what other nodes say comes back by them. `wake` is
  // called with the lock held when something begins to wait; be quick.
  void OnSharedWork(std::function<void()> wake);

  // Rows of at most `most` subjects that wait, as they are now. Each must come back, with the
  // answers or to wait again.
  std::vector<RowPut> TakeRowsToPut(size_t most);
  void RowsNotPut(absl::Span<const RowPut> puts);
  // All nodes' rows of the keys put. Judges again what became worse. True if a case was opened.
  bool RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers, Events* events);
  // The same of keys that were only read: nothing is judged.
  void RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers);
  // The keys of a subject's rows.
  std::vector<RowKey> RowKeysOf(const Subject& subject) const;
  // Everything live waits: the store may have lost it.
  void ShareAll();
  // Subjects whose case ends within `soon` wait, so that it is judged by all nodes' newest rows.
  void ShareCasesDue(absl::Duration soon);
  // The store's clock minus this one.
  void SetClockOffset(absl::Duration offset);

  // Cases that wait to be put, as the store keeps them.
  std::vector<SharedCase> TakeCasesToPut();
  // What became of one. Of theirs and this one the winner holds (decision.h): theirs is adopted, or
  // this one is to be put on top of theirs. True if it changed anything here.
  bool CasePut(const SharedCase& sent, const CasePutAnswer& answer, Events* events);
  // Cases that other nodes put; `all`: everything that the store has, so what it lacks, or has in
  // an older form, is put again. Damaged ones are replaced by whoever knows the true one.
  void MergeCases(const std::vector<SharedCase>& theirs, bool all, Events* events);
  // Whether a case of the subject waits to be put.
  bool CaseWaits(const Subject& subject) const;
  // The store is away: people are told of the cases opened here that could not be shared, since
  // nobody else may have them, and what waited to be judged by newer rows is judged by those known.
  void GoOnAlone(Events* events);
  // Whether the cases that others put are wanted now: a domain is about to be judged by the rows of
  // all nodes, and a case of a part of it goes before. Once; hand them to MergeCases.
  bool TakeWantsCases();
  // Keys with more rows than there can be nodes: whoever calls this takes out those of strangers.
  std::vector<RowKey> TakeCrowdedRows();
  // Cases long over, once each, to be dropped from the store.
  std::vector<std::pair<CaseExchange::Name, int64_t>> TakeCasesToDrop();

  ExchangeStats shared_stats() const;

  // That the clock was ahead and was set back (limiter_clock.cc).
  struct ClockBack {
    absl::Time at = absl::InfinitePast();  // never
    absl::Duration by;
  };

  struct Stats {
    size_t subjects = 0;
    size_t messages = 0;                    // open ones with a contribution
    int64_t evicted = 0;                    // messages forgotten because too many were open
    absl::Time now = absl::InfinitePast();  // the greatest stamp accepted
    int64_t evicted_subjects = 0;           // forgotten because there were too many
    int64_t evicted_places = 0;             // likewise: servers that fail, senders delivered lately
    ClockBack clock_back;
  };
  Stats stats() const;

 private:
  // What the last CollectChanges gave, until it is known to be stored. Values are named: one that
  // changes again before the commit is stored once.
  struct Changes {
    std::vector<Subject> subjects;
    std::vector<Subject> subjects_gone;  // that the store has and that are forgotten
    std::vector<Counter::Stale> stale;
    std::vector<Contributions::Part> messages;
    std::vector<Contributions::Part> gone;  // of messages that the store has and that are over
    std::vector<Subject> clearings;
    std::vector<CaseEvent> events;  // with the cases as they became
    std::vector<std::string> forgotten_cases;
    std::vector<Incidents::Key> places;
  };

  // One attempt (limiter.cc).
  void RecordAttempt(const Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A recipient refused at RCPT time. False: to nobody of ours, or not because of the recipient.
  bool RecordRejected(const Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `rejected`: it was proposed as a rejected recipient, and is a plain rejection.
  void RecordMessage(const LogEvent& event, bool rejected) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Events TakeEvents() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SpareHost(ChargedSubjects* charged) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the answer of a bad attempt means; a bare expiry means what the recipient's last deferral
  // did. `recipient` may be null.
  Classification AnswerOf(const Attempt& attempt, const RecipientRecord* recipient) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // kCounts, or why the policy leaves it out.
  LeftOut WhyAnswerLeftOut(const Classification& answer, const Attempt& attempt) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Contribute(const Attempt& attempt, const ChargedSubjects& charged,
                  const Classification* answer, MessageRecord* message, RecipientRecord* record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Counts it among what is shown and left out.
  void ShowLeftOut(const Attempt& attempt, const ChargedSubjects& charged, ReplyClass reply_class,
                   RecipientRecord* record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                  ReplyClass reply_class) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RoomFor(const ChargedSubjects& charged) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Time (limiter_clock.cc).
  void AdvanceTo(absl::Time t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ClockWasSetBack() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ComeBackTo(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What the other parts know of subjects that are no longer counted.
  void ForgetWhatIsGone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The later of the clock and the log: what people are shown is as of then.
  absl::Time ShownNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Cases (limiter_cases.cc). Opens the case that the rules ask for, judged as of `now`. Where that
  // rests on other nodes' rows and parts of the subject go before it, their newest rows are waited
  // for, unless `newest` says that these are they. `basis`: what was counted, since a case opens
  // only on what its rule judges.
  void JudgeSubject(const Subject& subject, absl::Time now, absl::Time since, bool newest,
                    Basis basis) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JudgeAll(const ChargedSubjects& charged, absl::Time since, Basis basis)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OpenCase(const Subject& subject, const Decision& decision, bool shadow, absl::Time since)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndCasesDue(absl::Time t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndOrExtend(const Case& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseWhatIsNotEnforced() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing is on trial that is enforced.
  void EndShadowCase(const Case& enforced, absl::Time at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A part's enforced case has become what `record` is.
  void NotePart(const Case& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The one way to change a case.
  void Changed(CaseChange change, absl::Time time, const Case& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Incidents (limiter_incidents.cc). `left_out`, or kIncident because of what goes on at the
  // place.
  LeftOut WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                     const Classification* answer, LeftOut left_out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes out of the windows what an incident has contributed, and ends the cases that rest on it.
  void TakeOutIncident(const Incidents::Key& key, const Incident& incident)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseIfItRestedOn(const Incident& incident, const Subject& subject,
                         const std::vector<PlaceContribution>& taken_out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndIncidentsDue(absl::Time t) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Sharing (limiter_shared.cc).
  bool Shares(const Subject& subject) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShareSubject(const Subject& subject) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShareEverything() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShareSaved(const Changes& changes, bool saved) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool JudgeAgain(const Subject& subject) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Adopt(const Adoption& adoption) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Closed cases from before then are not told to others any more.
  absl::Time TooOld(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Storing (limiter_state.cc).
  void CollectSubject(const Subject& subject, StoreBatch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LimiterFacts Facts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const LimiterOptions options_;
  const Clock* const clock_;
  CaseTable* const cases_;

  // Everything below is one state under one lock. The parts have no lock of their own and no other
  // owner; those that are views of others come after them.
  mutable Mutex mutex_;
  Settings settings_ ABSL_GUARDED_BY(mutex_);
  Counter counter_ ABSL_GUARDED_BY(mutex_);
  Clearings clearings_ ABSL_GUARDED_BY(mutex_);
  Contributions contributions_ ABSL_GUARDED_BY(mutex_);
  Culprit culprit_ ABSL_GUARDED_BY(mutex_);
  IncidentWatch incidents_ ABSL_GUARDED_BY(mutex_);
  Casebook casebook_ ABSL_GUARDED_BY(mutex_);
  Refused refused_ ABSL_GUARDED_BY(mutex_);
  // Null: one machine.
  const std::unique_ptr<RowExchange> rows_ ABSL_PT_GUARDED_BY(mutex_);
  const std::unique_ptr<CaseExchange> shared_cases_ ABSL_PT_GUARDED_BY(mutex_);
  LiveCounts counts_ ABSL_GUARDED_BY(mutex_);
  Judge judge_ ABSL_GUARDED_BY(mutex_);

  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time batch_clock_ ABSL_GUARDED_BY(mutex_);  // the clock, read once a batch
  absl::Time last_sweep_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  ClockBack clock_back_ ABSL_GUARDED_BY(mutex_);
  Events happened_ ABSL_GUARDED_BY(mutex_);                       // since the last TakeEvents
  std::vector<Contributed> contributed_ ABSL_GUARDED_BY(mutex_);  // for its memory
  std::function<void()> wake_ ABSL_GUARDED_BY(mutex_);
  bool wants_cases_ ABSL_GUARDED_BY(mutex_) = false;
  Changes being_saved_ ABSL_GUARDED_BY(mutex_);

  // While restoring.
  struct Restored {
    LimiterFacts facts;
    std::vector<Case> cases;
    std::vector<CaseEvent> events;
  };
  Restored restored_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_LIMITER_H_
