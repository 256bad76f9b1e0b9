// The one that drives the limiter: each change goes through it, in memory at once, and with the
// next commit to the store.
//
// A batch is counted at once; what it changed is committed with the position that it brings,
// together with other batches when many come. So after a crash the positions and the counts on the
// disk belong together, and reading on gives what an uninterrupted run would have given. What
// happened is told to the observer at once, in order, with no lock held that a reader waits for:
// should the machine fail before the commit, it is read, and told, again.
//
// When the disk is full or gone, counting goes on in memory: what has changed waits (each value
// once, so that is bounded; see uncommitted.h), status() says why, and the next commit that
// succeeds has it all. There is no other path: it is one large batch.
//
// A case that a rule opened, here or on another node, gets its receipt after the commit that
// brought it: the newest attempts that made it trip, out of the ledger.
//
// Safe from any thread; callers wait for each other. Locks are taken in the order mutex_ (the state
// that belongs together: the limiter's changes and what else a commit has), then tell_mutex_ (the
// observers' order). An observer must not call back.

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

// Where a source's reading goes on, and what it is joined with.
struct KeptSource {
  LogPosition position;
  std::vector<OpenMessage> open_messages;  // by arrival
};

struct CommitterOptions {
  bool ledger = true;
  bool mail_subjects = false;  // keep the messages' Subject: lines
  // Called with a case whose receipt was gathered here, for others to see; may be empty.
  std::function<void(const Case&, const Receipt&)> on_receipt;
  std::vector<Observer*> observers;  // told in this order
};

class Committer : public Exchange {
 public:
  // `limiter`, `store`, `clock` and the observers must outlive it.
  Committer(CommitterOptions options, Limiter* limiter, LocalStore* store, const Clock* clock);

  // Fills the limiter from the store; then the sources' positions are known. DataLoss if what is
  // stored is damaged. Before anything else.
  absl::Status Load();
  std::map<std::string, KeptSource> TakeSources();

  // What the limiter does, as it says there.
  void Record(const EventBatch& batch);
  void Tick(absl::Duration slack = absl::ZeroDuration());
  void SetSettings(Settings settings);
  Case Block(const Subject& subject, absl::Duration duration, const std::string& by,
             const std::string& reason);
  absl::StatusOr<Case> Unblock(const Subject& subject, const std::string& by,
                               const std::string& reason, HeldOrder held = HeldOrder::kNone);

  // Forgetting (forget_filter.h), a part at a time, so that counting goes on in between. Before the
  // first part, what waits is committed. `only_count` changes nothing.
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
  Case Exempt(const Subject& subject, absl::Duration duration, const std::string& by,
              const std::string& reason);
  absl::StatusOr<Case> EndExemption(const Subject& subject, const std::string& by,
                                    const std::string& reason);

  // Keeps a number under a name that begins with "queue_" or "mark_", with the next commit; none:
  // forgets it.
  void Remember(const std::string& name, std::optional<int64_t> number);
  // Those that were stored when Load was called.
  const std::map<std::string, int64_t>& remembered() const { return remembered_; }

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

  // Exchange: between two batches.
  void SetWake(std::function<void()> wake) override;
  void SetClockOffset(absl::Duration offset) override;
  void ShareAll() override;
  void ShareCasesDue(absl::Duration soon) override;
  std::vector<RowPut> TakeRowsToPut(size_t most) override;
  void RowsNotPut(absl::Span<const RowPut> puts) override;
  bool RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers) override;
  void RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) override;
  std::vector<RowKey> RowKeysOf(const Subject& subject) const override;
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

  // Runs `change` alone, then tells what happened.
  void Do(absl::FunctionRef<void(Events*)> change);
  absl::Status CommitOnce(bool durable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(const absl::Status& committed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Some of those that are due, for the next commit. True if there were any.
  bool GatherReceipts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CommitterOptions options_;
  Limiter* const limiter_;
  LocalStore* const store_;
  const std::unique_ptr<LedgerReader> gatherer_;  // confined to whoever holds mutex_
  const std::unique_ptr<LedgerReader> reader_;    // for ReceiptOf
  const Clock* const clock_;
  // Written by Load alone.
  std::map<std::string, KeptSource> sources_;
  std::map<std::string, int64_t> remembered_;

  mutable Mutex mutex_;
  bool undurable_ ABSL_GUARDED_BY(mutex_) = false;  // a power failure may undo the last commit
  Uncommitted uncommitted_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<std::string, LogPosition> positions_ ABSL_GUARDED_BY(mutex_);

  // Held by whoever tells; taken before mutex_ is given back, so that nobody tells out of order.
  Mutex tell_mutex_ ABSL_ACQUIRED_AFTER(mutex_);

  std::atomic<size_t> waiting_rows_{0};
  std::atomic<int64_t> lost_rows_{0};
  mutable Mutex status_mutex_;
  Status status_ ABSL_GUARDED_BY(status_mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COMMITTER_H_
