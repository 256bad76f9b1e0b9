// The one thread that puts this node's rows and cases into the store that nodes share.
//
// It takes rows and cases from the limiter, as they are at that moment, and hands the answers back.
// Every 2 s it sends a heartbeat and reads which other nodes are live. Counting and answering never
// wait for it: while the store is unreachable or slow, the names of changed subjects wait in the
// limiter (each once), and the publisher retries at growing intervals. After a new connection, or
// when the store was emptied, everything live is put again, so every kind of loss has one cure.
//
// Claim, Start and Stop are called by one thread, in this order; Round is for tests, in place of
// Start. Wake, PutReceipt, WaitForCase and status are safe from any thread. Fields are the
// publisher thread's except those guarded by mutex_.

#ifndef DEFERD_LIMITER_SHARING_PUBLISHER_H_
#define DEFERD_LIMITER_SHARING_PUBLISHER_H_

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/sharing/exchange.h"
#include "limiter/store/ledger.h"
#include "limiter/store/shared_store.h"

namespace deferd {

struct PublisherOptions {
  std::function<NodeClaim()> claim;
  absl::Duration keep_receipts = absl::Hours(7 * 24);
  // Called on the publisher's thread when there is a new connection, or the store was emptied.
  std::function<void()> on_new_store;
};

class Publisher {
 public:
  static constexpr absl::Duration kBeat = absl::Seconds(2);
  static constexpr absl::Duration kLongestPause = absl::Seconds(2);
  static constexpr size_t kMaxReceipts = 1000;  // waiting; later ones are not shared

  // `exchange` and `clock` must outlive it.
  Publisher(PublisherOptions options, std::unique_ptr<SharedStore> store, Exchange* exchange,
            const Clock* clock);
  ~Publisher();

  // Connects and sends the first heartbeat, before Start, so that a daemon whose node name or log
  // belongs to another daemon finds out before it does anything. Errors are those of the store.
  absl::Status Claim();
  void Start();
  // Puts what waits, if the store is reachable, and removes this node from the list of nodes.
  void Stop();

  // Does what is due now. Returns how long to wait for the next round; `woken`: or until Wake.
  struct Pause {
    absl::Duration at_most;
    bool woken = true;
  };
  Pause Round();

  void Wake();

  // Blocks until no case of the subject waits to be put. Returns the trouble after `at_most`.
  absl::Status WaitForCase(const Subject& subject, absl::Duration at_most);

  void PutReceipt(const Case& record, const std::vector<LedgerRow>& rows);

  struct Status {
    SharedTrouble trouble = SharedTrouble::kNone;
    std::string problem;  // the trouble in words; empty: none
    absl::Time trouble_since = absl::InfiniteFuture();
    absl::Duration heard =
        -absl::InfiniteDuration();  // Clock::Elapsed() at the last good heartbeat
    bool synced = false;            // everything live at the connection is put
    std::string generation;
    std::vector<NodeRecord> nodes;
    absl::Time nodes_at = absl::InfinitePast();  // by the store's clock
    int64_t rows_put = 0;
    int64_t cases_won = 0;
    int64_t cases_lost = 0;
    int64_t connections = 0;
    std::array<int64_t, kSharedTroubles> troubles = {};  // rounds that ended so
  };
  Status status() const;

 private:
  void Run();
  // Returns false when the thread is to end.
  bool Rest(const Pause& pause);
  absl::Status DoRound();
  Pause AfterGoodRound();
  absl::Status SayBeat();
  absl::Status CheckRows();
  absl::Status PutCases();
  absl::Status PutRows(bool* more);
  absl::Status PutReceipts();
  absl::Status DropCases();
  absl::Status DropStrangers();
  // What the log has said of a count.
  struct Told {
    int64_t count = 0;
    absl::Duration at = -absl::InfiniteDuration();  // Clock::Elapsed()
  };
  // What is new of it, if the log says it now: once a minute at most. Otherwise 0.
  int64_t ToTell(int64_t count, Told* told) const;
  void TellRefused();
  void TellLost();
  void Heard(const absl::Status& status);

  const PublisherOptions options_;
  const std::unique_ptr<SharedStore> store_;
  Exchange* const exchange_;
  const Clock* const clock_;

  // Of the publisher's thread (of Claim's caller before Start).
  bool claimed_ = false;  // the connection's first heartbeat succeeded
  bool reconnect_ = false;
  bool more_ = false;
  absl::Duration last_beat_ = -absl::InfiniteDuration();  // Clock::Elapsed()
  std::string generation_;
  absl::Status missing_;  // of the last heartbeat: the trouble of one store of several
  int failures_ = 0;      // in a row
  uint32_t jitter_ = 1;
  std::vector<std::pair<CaseExchange::Name, int64_t>> to_drop_;
  std::vector<RowKey> crowded_;  // with strangers' rows, to be dropped
  Told refused_told_;
  Told lost_told_;

  struct Receipt {
    Subject subject;
    std::string case_id;
    std::string text;
  };
  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t rounds_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Receipt> receipts_ ABSL_GUARDED_BY(mutex_);
  Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_PUBLISHER_H_
