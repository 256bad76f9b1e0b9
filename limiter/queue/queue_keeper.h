// Looks after the MTA's queue: holds what is to be held and lets go of it again, as holder.h
// decides and the root helper carries out.
//
// One thread, which looks every two seconds while anybody is blocked or anything is held (less
// often where a look takes long), and once a minute otherwise. The helper being away changes
// nothing but that queued mail stays where it is; it is tried again, and `status` tells.

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
  // Keeps a number under a name, for the next start; none: forgets it.
  using Remember = std::function<void(const std::string& name, std::optional<int64_t> number)>;

  // The pointers must outlive it.
  QueueKeeper(const MailQueue* queue, const Gate* gate, const CaseTable* cases, HeldMail* held,
              Remember remember);
  ~QueueKeeper() override { Stop(); }

  // `remembered`: what an earlier one kept.
  void Start(const std::map<std::string, int64_t>& remembered);
  void Stop();

  // From any thread: looks soon, for something has changed.
  void Wake();
  // From any thread but the keeper's: looks at once, and waits until that look's orders were given,
  // but no longer than `limit`. Those of `ids` whose order the mail server did not carry out, and
  // why.
  std::map<std::string, std::string> LookNow(const std::vector<std::string>& ids,
                                             absl::Duration limit);
  // A case began or ended.
  void OnCase(CaseChange change, const Case& record) override;

  // {"helper", "helpers": QueueHelpers::StatusJson, "problem", "messages", "overdue", "held":
  // [{"subject", "messages", "overdue", "blocked",
  //  "waits_for"}], "not_done": [{"id", "order", "times", "since", "why"}], "sender_table": what
  //  Postfix looks up, or null, "sender_table_problem"}
  Json StatusJson() const;

  struct Numbers {
    int64_t held = 0;
    int64_t overdue = 0;   // of them: for over hold_max, with nobody to give them back to
    int64_t not_done = 0;  // messages whose last order the mail server did not carry out
    int64_t failures = 0;  // orders that it did not carry out, since the start
  };
  Numbers numbers() const;

 private:
  void Run();
  bool Stopping() const;
  absl::Status Look();
  absl::Status Carry(const QueueOrders& orders, const std::vector<QueuedMail>& queue);
  // What the helper's answer says of the messages of one order.
  std::map<std::string, std::string> NotDone(const std::string& verb,
                                             const std::vector<std::string>& ids,
                                             const Json& answer);
  void ForgetFailuresOfGone(const std::vector<QueuedMail>& queue);
  // That the table cannot be written stops nothing else.
  absl::Status Carry(const NetOrders& orders, const std::vector<std::string>& to_hold);
  void Told(const absl::Status& looked);

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
