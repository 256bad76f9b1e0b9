// The protocol of deferd-queue: requests that the unprivileged daemon may send to the root helper.
//
// It is the admin protocol (limiter/localrpc/admin_session.h) over a unix socket, one request per
// connection. Connections of users other than deferd and root are closed before anything is read.
// Verbs, with {"ids": [...]} unless noted:
//   list                      lists the queue (queue_list.h)
//   hold, release, give_back, try  allowed for deferd and root
//   defer                     {"domains": {DOMAIN: why}, "users": {USER: why}}: the complete set of
//                             senders whose mail Postfix defers (sender_table.h); for a user, mail
//                             with the user's own address as sender. Allowed for deferd and root.
//                             Returns {"table": the path for main.cf; null without Postfix,
//                             "postfix": its queue directory; "" without Postfix, null if not
//                             known}. The former name put_off still works
//   requeue, flush            {"id": ID}; {}
//   discard                   root only, if the operator has enabled it; deferd too, for admins of
//                             its console, if the operator has enabled that as well
//   redirect                  {"id": ID, "address": ADDRESS}; likewise
// hold, release, give_back and discard return {"not_done": {ID: why}}, as the queue shows it
// afterwards. Every change is logged with the uid of the client. give_back can be disabled.
// Requests of users other than root are limited: kBurst at once, kPerSecond in the long run
// (ResourceExhausted).

#ifndef DEFERD_LIMITER_QUEUE_HELPER_QUEUE_HELPER_H_
#define DEFERD_LIMITER_QUEUE_HELPER_QUEUE_HELPER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "limiter/port/socket_server.h"
#include "limiter/queue_helper/mta_queue.h"
#include "limiter/queue_helper/sender_table.h"

namespace deferd {

class QueueHelper {
 public:
  static constexpr double kBurst = 300;
  static constexpr double kPerSecond = 10;

  struct Options {
    MtaPrograms programs;
    int64_t uid = -1;  // of deferd; root is always allowed
    bool allow_discard = false;
    bool allow_redirect = false;
    bool allow_deferd = false;  // deferd may do what the two above allow root
    bool deny_give_back = false;
    SenderTable* sender_table = nullptr;  // null: no table; must outlive the helper
  };

  explicit QueueHelper(Options options, const Clock* clock = nullptr)
      : options_(std::move(options)), clock_(clock), queue_(options_.programs) {}

  // Only deferd and root may send requests.
  bool IsAllowed(const Peer& peer) const {
    return peer.uid == 0 || (peer.uid >= 0 && peer.uid == options_.uid);
  }

  // Returns PermissionDenied, InvalidArgument, or the error of MtaQueue.
  absl::StatusOr<Json> Handle(const std::string& verb, const Json& args, const Peer& peer);

 private:
  absl::Duration Elapsed() const {
    return clock_ == nullptr ? SystemClock().Elapsed() : clock_->Elapsed();
  }
  absl::Status TakeRequest();
  absl::StatusOr<Json> SetDeferred(const Json& args);
  // A setting of Postfix, which is asked for it again after a while.
  struct Setting {
    std::string (MtaQueue::*read)();
    std::string text;  // empty if not known
    absl::Duration read_at = -absl::InfiniteDuration();
  };
  const std::string& Read(Setting* setting);
  absl::StatusOr<MtaQueue::NotDone> Do(const std::string& verb, const Json& args);

  const Options options_;
  const Clock* const clock_;  // null: the system's
  MtaQueue queue_;
  double requests_left_ = kBurst;
  absl::Duration requests_at_ = -absl::InfiniteDuration();
  Setting origin_ = {.read = &MtaQueue::PostfixOrigin, .text = ""};
  Setting folder_ = {.read = &MtaQueue::PostfixFolder, .text = ""};
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HELPER_QUEUE_HELPER_H_
