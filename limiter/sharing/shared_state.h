// The limiter's side of sharing with other nodes: what their rows say, and what of this node's
// waits to be put.
//
// Of each other node the newest known row of each subject is kept as a window in this node's own
// steps; this node's own part always comes from its own windows. Nothing is queued: what waits are
// the names of subjects, and the cases themselves. It judges nothing and knows no store.
//
// Confined to the limiter's lock.

#ifndef DEFERD_LIMITER_SHARING_SHARED_STATE_H_
#define DEFERD_LIMITER_SHARING_SHARED_STATE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/counting/window.h"
#include "limiter/store/shared_store.h"
#include "policy/counts.h"
#include "policy/subject.h"

namespace deferd {

class SharedState {
 public:
  SharedState(std::string node, int64_t incarnation)
      : node_(std::move(node)), version_(static_cast<double>(incarnation) * 4294967296.0) {}

  // The other nodes' part: live cells at `now_step` later than `after_step`, added.
  Counts Others(const Subject& subject, absl::Duration window, int64_t now_step,
                int64_t after_step) const;
  std::vector<std::pair<std::string, Counts>> OthersByNode(const Subject& subject,
                                                           absl::Duration window, int64_t now_step,
                                                           int64_t after_step) const;
  // All rows of a key as the store has them. Rows of an unknown or damaged format are left out and
  // counted.
  struct RowsNews {
    bool worse = false;  // a bad delivery is in them that was not known before
    // Of this node's name there is a row that this run did not make: newer than any of its own,
    // since its state directory was lost (the next version is greater still), or damaged.
    bool put_again = false;
  };
  RowsNews SetRows(const RowKey& key, const StepClock& steps, int64_t now_step,
                   const std::vector<SharedRow>& rows);
  // Forgets what is no longer live; `now_step` gives the step of now, none of windows that are no
  // longer counted.
  void Expire(absl::FunctionRef<std::optional<int64_t>(absl::Duration window)> now_step);
  void ForEachOther(absl::FunctionRef<void(const Subject&)> tell) const;

  // The version of the next row to put.
  double NextVersion() { return ++version_; }

  // By how many steps rows are shifted to be in the store's time.
  int64_t ShiftOf(const StepClock& steps) const;
  // The store's clock minus this one, if it is another by over a second. True if that shifts steps
  // of any of these windows otherwise.
  bool SetOffset(absl::Duration offset, const std::vector<StepClock>& windows);
  // What times of cases are moved by: whole seconds, none when the clocks agree to a second.
  absl::Duration CaseOffset() const { return absl::Trunc(offset_, absl::Seconds(1)); }

  // Subjects whose rows wait to be put; `bad`: with a bad contribution since they were put last.
  struct Waiting {
    bool changed = false;  // and stored
    bool bad = false;
  };
  absl::flat_hash_map<Subject, Waiting> subjects;
  absl::flat_hash_map<Subject, Waiting> being_put;
  // Those of them that are changed, by the domain that they are or are part of: put together.
  absl::flat_hash_map<Subject, std::vector<Subject>> groups;
  // The parts of a domain that are counted here.
  absl::flat_hash_map<Subject, absl::flat_hash_set<Subject>> parts;
  // Domains that would be blocked by what is known of the other nodes; those of them that are
  // judged when their rows come back next; and whether cases are wanted before.
  absl::flat_hash_set<Subject> unconfirmed;
  absl::flat_hash_set<Subject> confirming;
  bool wants_cases = false;
  bool alone = true;             // the store is away: what is known has to do
  std::vector<Subject> refused;  // each alone: to be tried again with the next beat

  // The newest case of each subject, open or closed.
  struct KnownCase {
    Case record;
    bool unsaved = false;   // not in the local store yet: not to be put before it is
    bool waits = false;     // to be put
    bool person = false;    // by a person's decision, which is put on top of whatever is there
    bool announce = false;  // this node's opening, of which people are not told yet
    int64_t seen = 0;       // the rev of the shared record that is known here; 0: none
  };
  using CaseName = std::pair<Subject, bool>;  // shadow
  absl::flat_hash_map<CaseName, KnownCase> cases;
  // Cases that are long over, to be dropped from the store: name and rev.
  std::vector<std::pair<CaseName, int64_t>> dropped;

  std::function<void()> wake;  // something waits to be put; quick
  // Rows and cases that were left out: of a later version, damaged, or such as nobody can have
  // meant. `refused_last` says what the last one was, for people.
  int64_t unreadable_rows = 0;
  int64_t unreadable_cases = 0;
  std::string refused_last;
  void RefuseRow(const RowKey& key, absl::string_view node, absl::string_view why);
  void RefuseCase(const Subject& subject, absl::string_view why);
  // Keys with more rows than there can be nodes, to be cleaned.
  absl::flat_hash_set<Subject> crowded;

 private:
  struct NodeWindow {
    std::string node;
    Window window;
  };
  struct OfLength {
    absl::Duration length;
    std::vector<NodeWindow> nodes;
  };

  bool OwnRowIsForeign(const RowKey& key, absl::string_view bytes);
  const std::vector<NodeWindow>* Find(const Subject& subject, absl::Duration window) const;

  const std::string node_;
  double version_;  // the newest of this node's rows: incarnation * 2^32 and their number
  absl::Duration offset_;
  absl::flat_hash_map<Subject, std::vector<OfLength>> others_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_SHARED_STATE_H_
