// Everything of `[shared]` in one daemon: its connections to Redis, the threads that use them, and
// what people see of them.
//
// Three connections: the publisher's, the case follower's, and one for the pages that show all
// nodes' counts. None is ever waited for by counting or by an answer to an MTA. All methods but
// Claim, Start and Stop are safe from any thread.

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
#include "limiter/store/redis_address.h"
#include "limiter/store/state_dir.h"

namespace deferd {

struct SharingOptions {
  RedisAddress address;
  std::string state_dir;
  std::vector<std::string> log_patterns;  // what this node reads
  absl::Duration keep_receipts;
  std::function<double()> lag_seconds;  // for people on other nodes
};

class Sharing {
 public:
  // So long after the start deferd is ready without Redis, with the cases of its own disk.
  static constexpr absl::Duration kPatience = absl::Seconds(10);
  // Not heard of for so long: answers are unchecked.
  static constexpr absl::Duration kSilence = absl::Seconds(10);
  static constexpr absl::Duration kMaxOffset = absl::Minutes(5);

  // The others must outlive it.
  Sharing(SharingOptions options, const StateDir& state_dir, Limiter* limiter, Committer* committer,
          const Clock* clock);
  ~Sharing() { Stop(); }

  // FailedPrecondition if another daemon has this node's name or one of its logs; Redis being away
  // is no error.
  absl::Status Claim();
  void Start();
  void Stop();

  // Why answers are unchecked, each beginning with "redis: ", or with "starting: " while Redis may
  // still come in time.
  std::vector<std::string> Causes() const;

  // Waits, for at most a second, until all nodes can know of the subject's case; else why not.
  absl::Status WaitShared(const Subject& subject);

  // Reads all nodes' rows of the subject; of all subjects, where `subject` is null. What cannot be
  // read in a few seconds stays as it is known.
  void Refresh(const Subject* subject);
  // Adds the other nodes' parts.
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
  const absl::Time started_;
  std::unique_ptr<CaseFollower> follower_;
  std::unique_ptr<Publisher> publisher_;

  Mutex reader_mutex_;
  std::unique_ptr<SharedStore> reader_ ABSL_PT_GUARDED_BY(reader_mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_SHARING_H_
