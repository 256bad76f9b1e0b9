// Counts batches and keeps the result: limiter and local store, side by side.
//
// A batch is counted at once, in memory; what it changed is committed with the position that it
// brings, together with other batches when many come. So after a crash the positions and the counts
// on the disk belong together, and reading on gives what an uninterrupted run would have given.
//
// When the disk is full or gone, counting goes on in memory: what has changed waits (each value
// once, so that is bounded; of the ledger's rows at most kMaxHeldRows, later ones are lost to the
// ledger and counted), status() says why, and the next commit that succeeds has it all. There is no
// other path: it is one large batch.
//
// A case that a rule opened, here or on another node, gets its receipt after the commit that
// brought it: the newest attempts that made it trip, out of the ledger.
//
// Record and Commit may be called from different threads; they wait for each other.

#ifndef DEFERD_LIMITER_STATE_KEEPER_H_
#define DEFERD_LIMITER_STATE_KEEPER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/evidence/receipt.h"
#include "limiter/limiter.h"
#include "limiter/observer.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/store/local_store.h"
#include "policy/attempt.h"
#include "policy/log_position.h"
#include "policy/open_message.h"

namespace deferd {

// Where a source's reading goes on, and what it is joined with.
struct KeptSource {
  LogPosition position;
  std::vector<OpenMessage> open_messages;  // by arrival
};

struct StateKeeperOptions {
  bool ledger = true;
  bool mail_subjects = false;  // keep the messages' Subject: lines
  // Called with a case whose receipt was gathered here, for others to see; may be empty.
  std::function<void(const Case&, const Receipt&)> on_receipt;
};

class StateKeeper : public Observer {
 public:
  static constexpr size_t kMaxHeldRows = 200'000;

  // `store` and `clock` must outlive it.
  StateKeeper(const StateKeeperOptions& options, LocalStore* store, const Clock* clock);

  // Fills `limiter`, which has this as an observer and must outlive it, from the store; then the
  // sources' positions are known. DataLoss if what is stored is damaged. Before anything else.
  absl::Status Load(Limiter* limiter);
  std::map<std::string, KeptSource> TakeSources();

  void Record(const EventBatch& batch);

  // Keeps a number under a name that begins with "queue_", with the next commit; none: forgets it.
  void Remember(const std::string& name, std::optional<int64_t> number);
  // Those that were stored when Load was called.
  const std::map<std::string, int64_t>& remembered() const { return remembered_; }

  // Runs `change`, which may open cases, between two batches.
  void Between(absl::FunctionRef<void(Limiter*)> change);

  // Stores what has changed since the last commit that succeeded. `durable`: it is on the disk
  // then.
  absl::Status Commit(bool durable = false);

  struct Status {
    std::string problem;  // why the last commit failed; empty: it did not
    absl::Time failing_since = absl::InfiniteFuture();
    int64_t commits = 0;
    int64_t failures = 0;
    int64_t lost_rows = 0;    // of the ledger, while the disk was full
    size_t waiting_rows = 0;  // of the ledger, not committed yet
  };
  Status status() const;

  // The evidence in `record`; none of a person's block, without a ledger, or while it is not
  // stored. Safe from any thread.
  std::optional<Receipt> ReceiptOf(const Case& record) const;

  // Cases whose receipt comes with one of the next commits.
  size_t ReceiptsDue() const;

  // Of the batch that Record is counting.
  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override;
  void OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                 const Classification* answer) override;
  void OnCase(CaseChange change, const Case& record) override;

 private:
  class Visitor;

  void AddRow(const Attempt& attempt, const ChargedSubjects& charged, Outcome outcome,
              LeftOut left_out, const Classification* answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepOpen(const LogEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void KeepClosed(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(const absl::Status& committed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CommitOnce(bool durable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A case whose receipt is to be gathered, and the ledger's row of the attempt that made it trip.
  struct DueReceipt {
    Case record;
    int64_t row = 0;
    int tries = 0;
  };
  // Some of those that are due, for the next commit. True if there were any.
  bool GatherReceipts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const StateKeeperOptions options_;
  LocalStore* const store_;
  const std::unique_ptr<LedgerReader> gatherer_;  // confined to whoever holds mutex_
  const std::unique_ptr<LedgerReader> reader_;    // for ReceiptOf
  const Clock* const clock_;
  Limiter* limiter_ = nullptr;  // fixed by Load
  std::map<std::string, KeptSource> sources_;
  std::map<std::string, int64_t> remembered_;

  mutable Mutex mutex_;
  bool undurable_ ABSL_GUARDED_BY(mutex_) = false;    // a power failure may undo the last commit
  int64_t rows_written_ ABSL_GUARDED_BY(mutex_) = 0;  // ever, the waiting ones too
  const std::string* source_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the batch in Record
  // What waits for the next commit, besides what the limiter remembers.
  std::vector<LedgerRow> rows_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, LogPosition> positions_ ABSL_GUARDED_BY(mutex_);
  // By source and id; a message that came and went between two commits is not in it.
  struct OpenChange {
    std::optional<OpenMessage> message;
    bool is_new = false;  // the store does not have it
  };
  absl::flat_hash_map<std::pair<std::string, std::string>, OpenChange> open_changes_
      ABSL_GUARDED_BY(mutex_);

  std::deque<DueReceipt> receipts_due_ ABSL_GUARDED_BY(mutex_);
  bool between_ ABSL_GUARDED_BY(mutex_) = false;  // a call of Between is running
  absl::flat_hash_set<std::string> adopted_ ABSL_GUARDED_BY(mutex_);  // cases of other nodes
  std::vector<StoredText> receipts_ ABSL_GUARDED_BY(mutex_);
  std::vector<StoredText> facts_ ABSL_GUARDED_BY(mutex_);

  std::atomic<size_t> waiting_rows_{0};
  mutable Mutex status_mutex_;
  Status status_ ABSL_GUARDED_BY(status_mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STATE_KEEPER_H_
