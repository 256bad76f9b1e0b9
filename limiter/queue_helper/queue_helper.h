// deferd-queue's protocol: requests that the unprivileged daemon may make of the root helper.
//
// The admin protocol (limiter/localrpc/admin_session.h) over a unix socket, one request a
// connection. Whoever is neither deferd nor root is turned away before anything is read. Verbs,
// with {"ids":
// [...]} unless said otherwise:
//   list                      the queue (queue_list.h)
//   hold, release, give_back, try  by deferd and root
//   put_off                   {"domains": {DOMAIN: why}, "users": {USER: why}}, all of them, by
//                             deferd and root: whose mail Postfix defers (sender_table.h); a user's
//                             is what has the user's own address as its sender. {"table": what
//                             main.cf has to name; null without Postfix}
//                             hold, release, give_back and discard answer {"not_done": {ID: why}},
//                             as the queue shows it afterwards
//   requeue, flush            {"id": ID}; {}
//   discard                   root alone, where the operator has allowed it
//   redirect                  {"id": ID, "address": ADDRESS}; likewise
// Every change is logged with who asked.

#ifndef DEFERD_LIMITER_QUEUE_HELPER_QUEUE_HELPER_H_
#define DEFERD_LIMITER_QUEUE_HELPER_QUEUE_HELPER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/socket_server.h"
#include "limiter/queue_helper/mta_queue.h"
#include "limiter/queue_helper/sender_table.h"

namespace deferd {

class QueueHelper {
 public:
  struct Options {
    MtaPrograms programs;
    int64_t uid = -1;  // deferd's; root may always ask
    bool allow_discard = false;
    bool allow_redirect = false;
    SenderTable* sender_table = nullptr;  // null: there is none; must outlive the helper
  };

  explicit QueueHelper(Options options) : options_(std::move(options)), queue_(options_.programs) {}

  // Deferd and root may; nobody else is listened to.
  bool MayAsk(const Peer& peer) const {
    return peer.uid == 0 || (peer.uid >= 0 && peer.uid == options_.uid);
  }

  // PermissionDenied, InvalidArgument, or what MtaQueue says.
  absl::StatusOr<Json> Handle(const std::string& verb, const Json& args, const Peer& peer);

 private:
  absl::StatusOr<Json> PutOff(const Json& args);
  // The domain that Postfix gives to a sender without one; empty if it is not known.
  std::string PostfixOrigin();
  absl::StatusOr<MtaQueue::NotDone> Do(const std::string& verb, const Json& args);

  const Options options_;
  MtaQueue queue_;
  std::string origin_;
  absl::Time origin_read_ = absl::InfinitePast();
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HELPER_QUEUE_HELPER_H_
