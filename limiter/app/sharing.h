// `[shared]` in one daemon: the connections to Redis, the threads that use them, and their status.
//
// Three connections: the publisher's, the case follower's, and one for pages that show all nodes'
// counts. Counting and MTA queries never wait for any of them.
//
// Claim, Start and Stop are called by one thread, in this order. All other methods are safe from
// any thread: the fields are constant after construction, except reader_, which reader_mutex_
// guards.

#ifndef DEFERD_LIMITER_APP_SHARING_H_
#define DEFERD_LIMITER_APP_SHARING_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "exporter/metrics.h"
#include "limiter/committer.h"
#include "limiter/limiter.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/sharing/case_follower.h"
#include "limiter/sharing/publisher.h"
#include "limiter/store/shared_store.h"
#include "limiter/store/state_dir.h"

namespace deferd {

struct SharingOptions {
  std::string where;  // the store's address, for people
  // Makes a connection to the store; called once for each of the three.
  std::function<std::unique_ptr<SharedStore>(const SharedStoreOptions&)> new_store;
  std::string state_dir;
  std::vector<std::string> log_patterns;  // the logs that this node reads
  absl::Duration keep_receipts;
  std::function<double()> lag_seconds;  // shown on other nodes
};

class Sharing {
 public:
  // This long after the start deferd is ready without Redis, with the cases of its own disk.
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  // After this long without an answer of Redis, answers to MTAs are unchecked.
  static constexpr absl::Duration kSilence = absl::Seconds(10);
  static constexpr absl::Duration kMaxOffset = absl::Minutes(5);

  // Everything but `state_dir` must outlive it.
  Sharing(SharingOptions options, const StateDir& state_dir, Limiter* limiter, Committer* committer,
          const Clock* clock);
  ~Sharing() { Stop(); }

  // FailedPrecondition if another daemon has this node's name or one of its logs. An unreachable
  // Redis is not an error.
  absl::Status Claim();
  void Start();
  void Stop();

  // Why answers are unchecked. Each cause begins with "redis: ", or with "starting: " while Redis
  // may still answer within kPatience.
  std::vector<std::string> Causes() const;

  // Whether all nodes' cases have been read, and heard of lately.
  bool CasesKnown() const;

  // Blocks until all nodes can know the subject's case; after a second, the reason why not.
  absl::Status WaitShared(const Subject& subject);

  // Reads all nodes' rows of the subject, or of all subjects if `subject` is null. Rows that cannot
  // be read within a few seconds stay as known.
  void Refresh(const Subject* subject);
  // Adds the rows of other nodes to a receipt's, newest first.
  void AddReceipts(const Case& record, std::vector<LedgerRow>* rows);
  void PutReceipt(const Case& record, const std::vector<LedgerRow>& rows) {
    publisher_->PutReceipt(record, rows);
  }

  Json StatusJson() const;
  SharedGauges ReadGauges() const;

 private:
  NodeClaim MakeClaim(const std::string& boot) const;
  bool ReaderReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(reader_mutex_);
  void ReadRows(const std::vector<RowKey>& keys) ABSL_EXCLUSIVE_LOCKS_REQUIRED(reader_mutex_);

  const SharingOptions options_;
  const std::string node_;
  const int64_t incarnation_;
  const std::string session_;
  Limiter* const limiter_;
  const Clock* const clock_;
  const absl::Duration started_;  // Clock::Elapsed()
  std::unique_ptr<CaseFollower> follower_;
  std::unique_ptr<Publisher> publisher_;

  Mutex reader_mutex_;
  std::unique_ptr<SharedStore> reader_ ABSL_PT_GUARDED_BY(reader_mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_SHARING_H_
