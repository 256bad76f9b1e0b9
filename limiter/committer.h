// Drives the limiter. Every change passes through the committer: it takes effect in memory at once,
// and reaches the store with the next commit.
//
// A batch is counted at once. Its changes and its log position are committed in one transaction,
// together with other batches when many are waiting. After a crash the positions and the counts on
// disk therefore match, and reading on gives the result of an uninterrupted run. Observers are
// notified at once, in order, and without a lock that a reader waits for. If the machine fails
// before the commit, the batch is read again and observers are notified again.
//
// While the disk is full or unreachable, counting continues in memory. Changed values wait, each
// one once, so memory is bounded (uncommitted.h); status() gives the error, and the next successful
// commit stores all of them as one large batch.
//
// A case that a rule opened, here or on another node, gets its receipt after the commit that
// stored the case: the newest attempts that tripped the rule, read from the ledger.
//
// Call order: Load, then TakeSources, both before any other thread has the committer; then
// anything.
//
// Safe from any thread; callers wait for each other. Lock order: mutex_, then tell_mutex_ (order of
// notifications). The limiter's lock is taken inside mutex_; status_mutex_ is taken last and alone.
// The calls of Exchange that change nothing at home take the limiter's lock only. An observer must
// not call the committer: it would wait for itself.

#ifndef DEFERD_LIMITER_COMMITTER_H_
#define DEFERD_LIMITER_COMMITTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/events.h"
#include "limiter/evidence/receipt.h"
#include "limiter/limiter.h"
#include "limiter/notice_maker.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/sharing/exchange.h"
#include "limiter/store/local_store.h"
#include "limiter/uncommitted.h"
#include "policy/attempt.h"
#include "policy/log_position.h"
#include "policy/open_message.h"
#include "policy/settings.h"

namespace deferd {

// Where reading a source continues, and the open messages that its next lines are joined with.
struct KeptSource {
  LogPosition position;
  std::vector<OpenMessage> open_messages;  // by arrival
};

struct CommitterOptions {
  bool ledger = true;
  bool mail_subjects = false;  // keep the messages' Subject: lines
  // Called with each receipt gathered here, so that it can be shared; mutex_ is held, so it must
  // not call back. May be empty.
  std::function<void(const Case&, const Receipt&)> on_receipt;
  std::vector<Observer*> observers;  // notified in this order
  // What people must hear is stored with what it tells of; null: nobody is told.
  NoticeMaker* notices = nullptr;
};

class Committer : public Exchange {
 public:
  // `limiter`, `store`, `clock` and the observers must outlive it.
  Committer(CommitterOptions options, Limiter* limiter, LocalStore* store, const Clock* clock);
  ~Committer() override;

  // Fills the limiter from the store, and reads the sources' positions. DataLoss if a stored value
  // is damaged. Call it once, before anything else.
  absl::Status Load();
  // The positions that Load read; empty at the second call.
  std::map<std::string, KeptSource> TakeSources();

  // See Limiter.
  void Record(const EventBatch& batch);
  void Tick(absl::Duration slack = absl::ZeroDuration());
  void SetSettings(Settings settings);
  Case Block(const Subject& subject, absl::Duration duration, const std::string& by,
             const std::string& reason);
  absl::StatusOr<Case> Unblock(const Subject& subject, const std::string& by,
                               const std::string& reason, HeldOrder held = HeldOrder::kNone,
                               absl::string_view only_case = "");

  // Forgetting (forget_filter.h), one step at a time, so that counting continues in between. Call
  // BeginForget first: it commits the waiting changes. `only_count` changes nothing.
  absl::StatusOr<ForgetFilter> BeginForget(absl::string_view what);
  absl::StatusOr<ForgetStep> ForgetRows(const ForgetFilter& filter, const ForgetPlace& from,
                                        bool only_count);
  // Takes the attempts that match out of the receipts of `cases`; counts stay. What was removed
  // before is off the disk when this returns.
  struct ForgottenReceipts {
    int64_t receipts = 0;
    int64_t attempts = 0;
  };
  absl::StatusOr<ForgottenReceipts> ForgetInReceipts(const ForgetFilter& filter,
                                                     absl::Span<const Case> cases, bool only_count);
  // Notices, also those that nobody has heard yet. Call it before ForgetInReceipts, which brings it
  // to the disk. Returns how many.
  int64_t ForgetNotices(absl::FunctionRef<bool(const Notice&)> names, bool only_count);
  Case Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
              const std::string& reason);
  absl::StatusOr<Case> EndExemption(const Subject& subject, const std::string& by,
                                    const std::string& reason);

  // Keeps a number under a name that begins with "queue_" or "mark_", with the next commit; none:
  // forgets it.
  void Remember(const std::string& name, std::optional<int64_t> number);
  // Something of which the limiter knows nothing, for the outbox with the next commit.
  void Announce(Notice notice);
  // Those that were stored when Load was called.
  const std::map<std::string, int64_t>& remembered() const { return remembered_; }

  // Stores all changes since the last successful commit. `durable`: waits until they are on the
  // disk (fsync).
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

  // Exchange: between two batches.
  void SetWake(std::function<void()> wake) override;
  void SetClockOffset(const ClockOffset& measured) override;
  void ShareAll() override;
  void ShareCasesDue(absl::Duration soon) override;
  std::vector<RowPut> TakeRowsToPut(size_t most) override;
  void RowsNotPut(absl::Span<const RowPut> puts) override;
  bool RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers) override;
  void RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) override;
  std::vector<RowKey> RowKeysOf(const Subject& subject) const override;
  void SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at) override;
  std::vector<RowKey> TakeRowsToCheck() override;
  void RowsChecked(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) override;
  std::vector<RowKey> TakeCrowdedRows() override;
  std::vector<SharedCase> TakeCasesToPut() override;
  bool CasePut(const SharedCase& sent, const CasePutAnswer& answer) override;
  void MergeCases(const std::vector<SharedCase>& theirs, bool all) override;
  bool CaseWaits(const Subject& subject) const override;
  bool TakeWantsCases() override;
  std::vector<std::pair<CaseExchange::Name, int64_t>> TakeCasesToDrop() override;
  void OnStoreUnreachable() override;
  void CommitNow() override { Commit().IgnoreError(); }
  ExchangeStats stats() const override;

 private:
  class Visitor;

  // Runs `change` under mutex_, then notifies the observers.
  void Do(absl::FunctionRef<void(Events*)> change);
  void Note(const Events& events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CommitOnce(bool durable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(const absl::Status& committed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Some of those that are due, for the next commit. True if there were any.
  bool GatherReceipts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CommitterOptions options_;
  Limiter* const limiter_;
  LocalStore* const store_;
  const std::unique_ptr<LedgerReader> gatherer_;  // used with mutex_ held
  const std::unique_ptr<LedgerReader> reader_;    // for ReceiptOf; has a lock of its own
  const Clock* const clock_;
  // Written by Load and TakeSources only, before other threads exist.
  std::map<std::string, KeptSource> sources_;
  std::map<std::string, int64_t> remembered_;

  mutable Mutex mutex_;
  bool undurable_ ABSL_GUARDED_BY(mutex_) = false;  // a power failure may undo the last commit
  Uncommitted uncommitted_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, LogPosition> positions_ ABSL_GUARDED_BY(mutex_);

  // Held while observers are notified; acquired before mutex_ is released, so that notifications
  // keep the order of the changes.
  Mutex tell_mutex_ ABSL_ACQUIRED_AFTER(mutex_);

  // Copies of uncommitted_'s numbers for status(), which does not wait for mutex_.
  std::atomic<size_t> waiting_rows_{0};
  std::atomic<int64_t> lost_rows_{0};
  mutable Mutex status_mutex_;
  Status status_ ABSL_GUARDED_BY(status_mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COMMITTER_H_
