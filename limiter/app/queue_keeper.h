// Looks after the MTA's queue: holds what is to be held and lets go of it again, as holder.h
// decides and the root helper carries out.
//
// One thread, which looks every two seconds while anybody is blocked or anything is held (less
// often where a look takes long), and once a minute otherwise. The helper being away changes
// nothing but that queued mail stays where it is; it is tried again, and `status` tells.

#ifndef DEFERD_LIMITER_APP_QUEUE_KEEPER_H_
#define DEFERD_LIMITER_APP_QUEUE_KEEPER_H_

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
#include "limiter/admin/json.h"
#include "limiter/app/mail_queue.h"
#include "limiter/case_table.h"
#include "limiter/gate.h"
#include "limiter/held_mail.h"
#include "limiter/holder.h"
#include "limiter/observer.h"
#include "limiter/port/mutex.h"
#include "limiter/sender_net.h"

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
  // A case began or ended.
  void OnCase(CaseChange change, const Case& record) override;

  // {"helper", "problem", "messages", "held": [{"subject", "messages", "blocked", "waits_for"}],
  //  "sender_table": what Postfix looks up, or null, "sender_table_problem"}
  Json StatusJson() const;
  int64_t held_messages() const;

 private:
  void Run();
  bool Stopping() const;
  absl::Status Look();
  absl::Status Carry(const QueueOrders& orders, const std::vector<QueuedMail>& queue);
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
  std::string problem_ ABSL_GUARDED_BY(mutex_);  // of the last look
  std::vector<HeldSubject> held_ ABSL_GUARDED_BY(mutex_);
  Json sender_table_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::string sender_table_problem_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_QUEUE_KEEPER_H_
