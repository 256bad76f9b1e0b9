// Collects what has changed in the limiter for a store, and restores it at the start.
//
// Works on the limiter's parts; each method takes the limiter's lock. Call order: RestoreFacts, the
// other Restore methods, FinishRestore, all before anything is recorded. Then CollectChanges and
// ChangesSaved in turn, one thread at a time (the committer's mutex_): a second CollectChanges
// before ChangesSaved would lose the first one's changes.

#ifndef DEFERD_LIMITER_PERSISTENCE_H_
#define DEFERD_LIMITER_PERSISTENCE_H_

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/accounts.h"
#include "limiter/case_handler.h"
#include "limiter/events.h"
#include "limiter/parts.h"
#include "limiter/port/mutex.h"
#include "limiter/store/facts_codec.h"
#include "limiter/store/local_store.h"
#include "limiter/time_keeper.h"
#include "policy/subject.h"

namespace deferd {

class Persistence {
 public:
  Persistence(Mutex* mutex, LimiterParts* parts, CaseHandler* cases, TimeKeeper* time,
              Accounts* accounts)
      : mutex_(mutex), parts_(parts), cases_(cases), time_(time), accounts_(accounts) {}

  // Adds to `batch` what has changed since the last call: windows, contributions, clearings, cases,
  // events and the facts.
  void CollectChanges(StoreBatch* batch);
  // Reports whether the changes of the last CollectChanges were stored. If not, the next call
  // collects them again.
  void ChangesSaved(bool saved);

  // Restore one stored value each; DataLoss if its bytes are damaged. FinishRestore also applies
  // settings that differ from those in force when the values were stored.
  absl::Status RestoreFacts(absl::string_view text);
  absl::Status RestoreWindow(const StoredWindow& window);
  absl::Status RestoreContribution(absl::string_view text);
  absl::Status RestoreClearing(absl::string_view text);
  absl::Status RestoreCase(absl::string_view text);
  absl::Status RestoreEvent(absl::string_view text);
  absl::Status RestorePlace(absl::string_view text);
  [[nodiscard]] Events FinishRestore();

 private:
  // The changes of the last CollectChanges until the store has them. Values are named, so one that
  // changes again before the commit is stored once.
  struct Changes {
    std::vector<Subject> subjects;
    std::vector<Subject> subjects_gone;  // forgotten here and still in the store
    std::vector<Counter::Stale> stale;
    std::vector<Contributions::Part> messages;
    std::vector<Contributions::Part> gone;  // of completed messages that are still in the store
    std::vector<Subject> clearings;
    std::vector<CaseEvent> events;  // with the cases as they became
    std::vector<std::string> forgotten_cases;
    std::vector<Incidents::Key> places;
  };
  struct Restored {
    LimiterFacts facts;
    std::vector<Case> cases;
    std::vector<CaseEvent> events;
  };

  void CollectSubject(const Subject& subject, StoreBatch* batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LimiterFacts Facts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex* const mutex_;
  LimiterParts* const parts_ ABSL_PT_GUARDED_BY(mutex_);
  CaseHandler* const cases_ ABSL_PT_GUARDED_BY(mutex_);
  TimeKeeper* const time_ ABSL_PT_GUARDED_BY(mutex_);
  Accounts* const accounts_ ABSL_PT_GUARDED_BY(mutex_);
  Changes being_saved_ ABSL_GUARDED_BY(mutex_);
  Restored restored_ ABSL_GUARDED_BY(mutex_);  // until FinishRestore
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PERSISTENCE_H_
