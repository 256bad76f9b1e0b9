// Applies holder.h's decisions to the MTA's queue through the root helper.
//
// One thread reads the queue every two seconds while a subject is blocked or a message is held
// (less often if reading takes long), and once a minute otherwise. If the helper is unreachable,
// queued mail stays where it is; the thread tries again, and `status` shows the problem.

#ifndef DEFERD_LIMITER_QUEUE_QUEUE_KEEPER_H_
#define DEFERD_LIMITER_QUEUE_QUEUE_KEEPER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/gate.h"
#include "limiter/cases/held_mail.h"
#include "limiter/events.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/mutex.h"
#include "limiter/queue/holder.h"
#include "limiter/queue/mail_queue.h"
#include "limiter/queue/sender_net.h"

namespace deferd {

class QueueKeeper : public Observer {
 public:
  // Stores a number under a name for the next start; nullopt deletes it.
  using Remember = std::function<void(const std::string& name, std::optional<int64_t> number)>;

  // The pointers must outlive the QueueKeeper.
  QueueKeeper(const MailQueue* queue, const Gate* gate, const CaseTable* cases, HeldMail* held,
              Remember remember);
  ~QueueKeeper() override { Stop(); }

  // `remembered`: the numbers that an earlier QueueKeeper stored.
  void Start(const std::map<std::string, int64_t>& remembered);
  void Stop();

  // Safe from any thread: reads the queue soon because something has changed.
  void Wake();
  // Safe from any thread but the keeper's: reads the queue now and waits, at most `limit`, until
  // the resulting orders were sent. Returns those of `ids` that the mail server did not act on, and
  // why.
  std::map<std::string, std::string> LookNow(const std::vector<std::string>& ids,
                                             absl::Duration limit);
  // A case was opened or closed.
  void OnCase(CaseChange change, const Case& record) override;

  // {"helper", "helpers": QueueHelpers::StatusJson, "problem", "messages", "overdue", "held":
  // [{"subject", "messages", "overdue", "blocked", "waits_for"}], "not_done": [{"id", "order",
  // "times", "since", "why"}], "sender_table": the table that Postfix looks up, or null,
  // "sender_table_problem"}
  Json StatusJson() const;

  struct Numbers {
    int64_t held = 0;
    int64_t overdue = 0;                         // held for over hold_max and cannot be returned
    absl::Time oldest = absl::InfiniteFuture();  // since when the first of them is held
    int64_t not_done = 0;  // messages whose last order the mail server did not carry out
    int64_t failures = 0;  // orders not carried out since the start
  };
  Numbers numbers() const;

 private:
  void Run();
  bool Stopping() const;
  absl::Status Look();
  absl::Status Carry(const QueueOrders& orders, const std::vector<QueuedMail>& queue);
  // Reads the messages of one order that the helper reports as not done.
  std::map<std::string, std::string> NotDone(const std::string& verb,
                                             const std::vector<std::string>& ids,
                                             const Json& answer);
  void ForgetResolvedFailures(const std::vector<QueuedMail>& queue);
  // A table that cannot be written does not stop anything else.
  absl::Status Carry(const NetOrders& orders, const std::vector<std::string>& to_hold);
  void Report(const absl::Status& looked);

  const MailQueue* const queue_;
  const CaseTable* const cases_;
  Holder::Parts parts_;
  std::unique_ptr<Holder> holder_;  // confined to the thread
  SenderNet net_;                   // likewise

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool wake_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t looks_begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t looks_done_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string problem_ ABSL_GUARDED_BY(mutex_);  // of the last look
  std::vector<HeldSubject> held_ ABSL_GUARDED_BY(mutex_);
  struct Failure {
    std::string order, why;
    int64_t times = 0;
    absl::Time since;
  };
  std::map<std::string, Failure> not_done_ ABSL_GUARDED_BY(mutex_);  // by message id
  int64_t failures_ ABSL_GUARDED_BY(mutex_) = 0;
  Json sender_table_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::string sender_table_problem_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_QUEUE_KEEPER_H_
